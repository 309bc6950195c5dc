//! What a bare Debian machine with cargo lacks: said first, with the reason, then installed.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::apt::Suite;
use crate::cache::{self, Lock};
use crate::command::{cargo, on_path, run};
use crate::ebpf::{Compiler, DEBIAN_CLIPPY, DEBIAN_RUSTC, DEBIAN_SOURCE};
use crate::mirror;

/// Install what is missing: packages, bpf-linker, promtool
#[derive(clap::Args)]
pub struct Args {
    /// Only list what is missing, and fail if anything is
    #[arg(long)]
    pub no_install: bool,
}

pub fn main(args: &Args) -> Result<()> {
    ensure(&Install {
        allowed: !args.no_install,
        tests: true,
    })
}

/// What a verb may do and needs.
pub struct Install {
    pub allowed: bool,
    /// Also what only the tests need.
    pub tests: bool,
}

/// How a package is recognised: by what it is needed for, so that a hand-made install counts as well.
enum Present {
    Program(&'static str),
    File(&'static str),
}

/// Debian packages: name, why, how recognised.
const PACKAGES: [(&str, &str, Present); 6] = [
    (
        "qemu-system-x86",
        "runs the guests",
        Present::Program("qemu-system-x86_64"),
    ),
    (
        "ndctl",
        "makes persistent-memory namespaces in the guests",
        Present::Program("ndctl"),
    ),
    (
        "daxctl",
        "lists device-dax devices in the guests",
        Present::Program("daxctl"),
    ),
    (
        "busybox-static",
        "the guests' shell and small tools",
        Present::Program("busybox"),
    ),
    (
        "kmod",
        "tells which modules a kernel module needs",
        Present::Program("modinfo"),
    ),
    ("xz-utils", "unpacks kernel modules", Present::Program("xz")),
];

/// A compiler for the eBPF object together with the source of its library, where there is no such nightly.
const COMPILER: [(&str, &str, Present); 2] = [
    (
        "rustc-web",
        "Debian's newest Rust compiler, for the eBPF object",
        Present::File(DEBIAN_RUSTC),
    ),
    (
        "rust-web-src",
        "the library source that goes with it",
        Present::File(DEBIAN_SOURCE),
    ),
];

/// What bpf-linker is built with, besides LLVM's own files.
const LINKER: [(&str, &str, Present); 3] = [
    (
        "g++",
        "builds bpf-linker: the C++ library that LLVM needs",
        Present::Program("g++"),
    ),
    (
        "libzstd-dev",
        "builds bpf-linker: LLVM needs it",
        Present::File("/usr/include/zstd.h"),
    ),
    (
        "zlib1g-dev",
        "builds bpf-linker: LLVM needs it",
        Present::File("/usr/include/zlib.h"),
    ),
];

const CLIPPY: [(&str, &str, Present); 1] = [(
    "rust-web-clippy",
    "the lints of the eBPF crate, with that compiler",
    Present::File(DEBIAN_CLIPPY),
)];

const BPF_LINKER: &str = "0.13.0";
/// What this version of bpf-linker can be built for (its cargo features `llvm-N`).
const LLVM: std::ops::RangeInclusive<u32> = 21..=23;

struct Missing {
    what: String,
    why: String,
    how: How,
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    Apt,
    BpfLinker(u32),
    Promtool,
    /// Cannot be told before the others are here.
    Later,
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.how {
            How::Apt => "apt-get install",
            How::BpfLinker(_) => "cargo install, into the cache",
            How::Promtool => "unpacked into the cache, nothing is installed",
            How::Later => "after the above",
        };
        write!(formatter, "  {:<16} {} ({how})", self.what, self.why)
    }
}

/// Installs until nothing is missing. What bpf-linker needs is known only once a compiler is here, hence rounds.
pub fn ensure(install: &Install) -> Result<()> {
    let mut before = Vec::new();
    loop {
        let missing = missing(install)?;
        if missing.is_empty() {
            if before.is_empty() {
                eprintln!("setup: nothing is missing");
            }
            return Ok(());
        }
        let names: Vec<String> = missing.iter().map(|one| one.what.clone()).collect();
        ensure!(
            names != before,
            "still missing after the installation: {}",
            names.join(", ")
        );
        eprintln!("setup: missing on this machine:");
        for one in &missing {
            eprintln!("{one}");
        }
        if !install.allowed {
            bail!("{} missing, and --no-install was given", missing.len());
        }
        round(&missing)?;
        before = names;
    }
}

fn round(missing: &[Missing]) -> Result<()> {
    let packages: Vec<&str> = missing
        .iter()
        .filter(|one| one.how == How::Apt)
        .map(|one| one.what.as_str())
        .collect();
    if !packages.is_empty() {
        return install_packages(&packages);
    }
    for one in missing {
        match one.how {
            How::BpfLinker(llvm) => install_linker(llvm)?,
            How::Promtool => unpack_promtool()?,
            How::Apt | How::Later => {}
        }
    }
    Ok(())
}

fn missing(install: &Install) -> Result<Vec<Missing>> {
    let mut missing = absent(&PACKAGES);
    let compiler = Compiler::find();
    if compiler != Some(Compiler::Nightly) {
        missing.extend(absent(&COMPILER));
        if install.tests {
            missing.extend(absent(&CLIPPY));
        }
    }
    match compiler {
        _ if on_path("bpf-linker").is_some() => {}
        None => {
            missing.extend(absent(&LINKER));
            let why = "links the eBPF object; with the files of that compiler's LLVM";
            missing.push(Missing {
                what: "bpf-linker".into(),
                why: why.into(),
                how: How::Later,
            });
        }
        Some(compiler) => {
            let llvm = compiler.llvm()?;
            if !linker(llvm)?.is_file() {
                check_llvm(llvm)?;
                missing.extend(absent(&LINKER));
                if !Path::new(&format!("/usr/lib/llvm-{llvm}/include/llvm-c/Core.h")).exists() {
                    let why = format!(
                        "builds bpf-linker: the compiler of the eBPF object has LLVM {llvm}"
                    );
                    missing.push(Missing {
                        what: format!("llvm-{llvm}-dev"),
                        why,
                        how: How::Apt,
                    });
                }
                let why = format!("links the eBPF object, version {BPF_LINKER} for LLVM {llvm}");
                missing.push(Missing {
                    what: "bpf-linker".into(),
                    why,
                    how: How::BpfLinker(llvm),
                });
            }
        }
    }
    if install.tests && promtool()?.is_none() {
        let why = "Prometheus' own check of our metrics, from Debian's package prometheus".into();
        missing.push(Missing {
            what: "promtool".into(),
            why,
            how: How::Promtool,
        });
    }
    Ok(missing)
}

fn absent(packages: &[(&str, &str, Present)]) -> Vec<Missing> {
    let absent = packages.iter().filter(|(_, _, present)| match present {
        Present::Program(name) => on_path(name).is_none(),
        Present::File(path) => !Path::new(path).exists(),
    });
    absent
        .map(|(name, why, _)| Missing {
            what: (*name).into(),
            why: (*why).into(),
            how: How::Apt,
        })
        .collect()
}

fn check_llvm(llvm: u32) -> Result<()> {
    ensure!(
        LLVM.contains(&llvm),
        "the compiler for the eBPF object has LLVM {llvm}, bpf-linker {BPF_LINKER} knows {} to {}: enable Debian's \
         security updates (they bring a newer rustc-web), or `rustup toolchain install nightly -c rust-src`",
        LLVM.start(),
        LLVM.end()
    );
    Ok(())
}

fn install_packages(packages: &[&str]) -> Result<()> {
    let root = std::fs::metadata("/proc/self")
        .context("cannot read /proc/self")?
        .uid()
        == 0;
    ensure!(
        root || on_path("sudo").is_some(),
        "installing needs root, and there is no sudo: run as root `apt-get install --no-install-recommends {}`",
        packages.join(" ")
    );
    let apt = |arguments: &[&str]| {
        let mut command = Command::new(if root { "env" } else { "sudo" });
        if !root {
            command.arg("env");
        }
        command
            .args([
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "-q",
                "-o",
                "DPkg::Lock::Timeout=300",
            ])
            .args(arguments);
        eprintln!(
            "+ {}{}",
            if root { "" } else { "sudo " },
            ["apt-get"]
                .iter()
                .chain(arguments)
                .copied()
                .collect::<Vec<_>>()
                .join(" ")
        );
        run(&mut command)
    };
    apt(&["update"])?;
    // rustc-web conflicts with the packages rustc and rustup: never take a compiler away that somebody works with.
    let mut arguments = vec!["install", "-y", "--no-install-recommends", "--no-remove"];
    arguments.extend(packages);
    apt(&arguments).context(
        "apt could not install what is missing. If it is rustc-web that conflicts (with the packages rustc or rustup), or \
         an llvm-N-dev that this Debian does not have: `rustup toolchain install nightly -c rust-src` and a \
         bpf-linker on PATH do without both",
    )
}

/// Where `agent/build.rs` looks for the linker when PATH has none.
fn linker(llvm: u32) -> Result<PathBuf> {
    Ok(cache::dir()?.join(format!("bpf-linker-llvm-{llvm}/bin/bpf-linker")))
}

fn install_linker(llvm: u32) -> Result<()> {
    let cache = cache::dir()?;
    let _lock = Lock::take(&cache)?;
    let prefix = format!("/usr/lib/llvm-{llvm}");
    // Unoptimised: it builds in a fifth of the time, and the work is done in LLVM's library all the same.
    let mut command = cargo();
    command.args([
        "install",
        "bpf-linker",
        "--locked",
        "--debug",
        "--version",
        BPF_LINKER,
        "--no-default-features",
    ]);
    command
        .args(["--features", &format!("llvm-{llvm}"), "--root"])
        .arg(cache.join(format!("bpf-linker-llvm-{llvm}")));
    command
        .env("LLVM_PREFIX", &prefix)
        .env("LIBRARY_PATH", format!("{prefix}/lib"))
        .current_dir(&cache);
    run(&mut command)
}

/// promtool, if it is on PATH or in the cache.
pub fn promtool() -> Result<Option<PathBuf>> {
    let cached = promtool_home()?.join("root/usr/bin/promtool");
    Ok(on_path("promtool").or_else(|| cached.is_file().then_some(cached)))
}

fn promtool_home() -> Result<PathBuf> {
    Ok(cache::dir()?.join("promtool"))
}

/// Only the tool: to install the package would start a Prometheus server on this machine.
fn unpack_promtool() -> Result<()> {
    let home = promtool_home()?;
    let _lock = Lock::take(&home)?;
    let suite = Suite::open(&mirror::own_suite()?, home.join("apt"))?;
    eprintln!("promtool: downloading prometheus of {}", suite.name);
    suite.refresh()?;
    suite.unpack(&["prometheus".to_owned()], &home.join("root"))
}
