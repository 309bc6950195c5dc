//! The steps that need no guest.

use std::time::Instant;

use anyhow::{Context, Result};

use super::shown::{minutes, print_check};
use super::{Report, Step};
use crate::command::{cargo, run, workspace};
use crate::ebpf::Compiler;
use crate::verdict::{Check, Outcome};
use crate::{deny, docs, exposure, fleet, manifests, package, page, target_dir};

pub fn host_steps(steps: &[Step]) -> Report {
    let mut checks = Vec::new();
    let (mut built, mut packaged) = (false, false);
    let mut step = |name: &str, work: &dyn Fn() -> Result<()>| {
        println!("host              ....  {name}");
        let start = Instant::now();
        let check = match work() {
            Ok(()) => Check::new("host", name, Outcome::Pass, minutes(start.elapsed())),
            Err(error) => Check::new("host", name, Outcome::Fail, format!("{error:#}")),
        };
        print_check("host", &check);
        checks.push(check);
    };
    for chosen in steps {
        match chosen {
            Step::Fmt => step("fmt", &|| {
                run(cargo().args(["fmt", "--all", "--", "--check"]))
            }),
            Step::Clippy => {
                step("clippy", &|| {
                    run(cargo().args([
                        "clippy",
                        "--quiet",
                        "--all-targets",
                        "--",
                        "-D",
                        "warnings",
                    ]))
                });
                step("clippy-ebpf", &clippy_ebpf);
            }
            Step::Unit => step("unit", &|| run(cargo().args(["test", "--quiet"]))),
            Step::Docs => step("docs", &|| docs::main(&docs::Args { check: true })),
            Step::Deny => step("deny", &deny::main),
            Step::Prometheus => step("prometheus", &fleet::step),
            Step::Page => step("page", &|| page::prove(false).map(|_| ())),
            // Once for all who need it.
            Step::Guests | Step::Cost | Step::Package | Step::Installed => {
                if !std::mem::replace(&mut built, true) {
                    step("build", &build_agent);
                }
                if matches!(chosen, Step::Package | Step::Installed)
                    && !std::mem::replace(&mut packaged, true)
                {
                    step("package", &package::for_tests);
                }
                if *chosen == Step::Package {
                    step("exposure", &exposure::judge);
                    step("kubernetes", &manifests::judge);
                }
            }
        }
    }
    if steps.contains(&Step::Deny) {
        let check = deny::advisories();
        print_check("host", &check);
        checks.push(check);
    }
    Report {
        place: "host".to_owned(),
        checks,
    }
}

fn clippy_ebpf() -> Result<()> {
    let compiler =
        Compiler::find().context("no compiler for the eBPF crate: run `cargo xtask setup`")?;
    let mut command = compiler.clippy();
    command.current_dir(workspace());
    command.args([
        "--quiet",
        "--package",
        "daxscope-ebpf",
        "-Z",
        "build-std=core",
        "--target",
        "bpfel-unknown-none",
    ]);
    // As agent/build.rs does: the crate asks for the machine that it traces, which is not its target.
    command.env(
        "CARGO_ENCODED_RUSTFLAGS",
        format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH),
    );
    // A folder of its own: another compiler would throw away what the others have built.
    command
        .arg("--target-dir")
        .arg(target_dir()?.join("clippy-ebpf"))
        .args(["--", "-D", "warnings"]);
    run(&mut command)
}

/// The agent as users build it; the guests get this file.
pub fn build_agent() -> Result<()> {
    run(cargo().args(["build", "--release", "--quiet", "--package", "daxscope"]))
}
