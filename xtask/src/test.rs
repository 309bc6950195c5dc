//! `cargo xtask test`: everything that CI proves, on this machine and then in guests with real kernels.

use std::collections::{BTreeSet, VecDeque};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::accel::{self, Accel};
use crate::command::{cargo, run, workspace};
use crate::ebpf::Compiler;
use crate::kernels::{self, Kernel};
use crate::setup::{self, Install};
use crate::verdict::{self, Check, Outcome};
use crate::vm::Nvdimms;
use crate::{
    bench, debian, deny, docs, exposure, fleet, manifests, package, page, proof, target_dir,
};

/// Formatting, lints, unit tests, documents, then the proof on real kernels in guests
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask test                                   everything
  cargo xtask test --only fmt,clippy,unit            what needs no guest
  cargo xtask test --only guests --kernel bullseye   one kernel
  cargo xtask test --kernel sid --nvdimm 2G,2G,4G    other kernels, other regions")]
pub struct Args {
    /// Only these steps
    #[arg(long, value_name = "STEP", value_delimiter = ',', value_enum)]
    only: Vec<Step>,
    /// Only these kernels: Debian suites or folders with an unpacked kernel [default: the matrix]
    #[arg(long = "kernel", value_name = "SUITE|DIR", value_delimiter = ',')]
    kernels: Vec<String>,
    #[command(flatten)]
    pub nvdimms: Nvdimms,
    /// Pin an eighth of the pages in the guests: while working on something
    #[arg(long)]
    pub quick: bool,
    /// If something is missing on this machine, list it and fail
    #[arg(long)]
    no_install: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Step {
    /// cargo fmt --check
    Fmt,
    /// cargo clippy, on the host crates and on the eBPF crate
    Clippy,
    /// cargo test
    Unit,
    /// The generated documents are up to date
    Docs,
    /// cargo deny: licences, sources and what is banned; advisories where there is a database
    Deny,
    /// Rules, alerts and dashboards, by promtool and by a real Prometheus
    Prometheus,
    /// The page for people, in a headless Chromium
    Page,
    /// What the agent adds to calls, in instructions, judged by docs/cost.json
    Cost,
    /// The figures on every kernel, and promtool on a scrape from each
    Guests,
    /// The Debian package, how exposed systemd finds its service, and the manifests for Kubernetes
    Package,
    /// The package in a Debian with systemd, on every kernel
    Installed,
}

const STEPS: [Step; 11] = [
    Step::Fmt,
    Step::Clippy,
    Step::Unit,
    Step::Docs,
    Step::Deny,
    Step::Prometheus,
    Step::Page,
    Step::Package,
    Step::Guests,
    Step::Installed,
    Step::Cost,
];

const GUESTS_AT_ONCE: usize = 2;

/// What was proven in one place: on this machine, or in one kernel's guest.
struct Report {
    place: String,
    checks: Vec<Check>,
}

pub fn main(args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    let steps = if args.only.is_empty() {
        STEPS.to_vec()
    } else {
        args.only.clone()
    };
    let matrix: Vec<String> = if args.kernels.is_empty() {
        kernels::MATRIX.map(str::to_owned).to_vec()
    } else {
        args.kernels.clone()
    };
    setup::ensure(&Install {
        allowed: !args.no_install,
        tests: true,
        peers: false,
    })?;
    let guests = steps.contains(&Step::Guests);
    let installed = steps.contains(&Step::Installed);
    let (mut reports, kernels) = thread::scope(|scope| {
        // The network is idle while this machine compiles.
        let fetch = scope.spawn(|| {
            let kernels = if guests || installed {
                fetch(&matrix)
            } else {
                Vec::new()
            };
            if installed && let Err(error) = debian::image() {
                eprintln!("{error:#}");
            }
            kernels
        });
        let host = host_steps(&steps);
        (
            vec![host],
            fetch.join().expect("fetching kernels does not panic"),
        )
    });
    if guests {
        let of = |kernel: &Kernel, accel| proof::of(kernel, args, accel);
        guest_steps(&kernels, of, &mut reports)?;
    }
    if installed {
        guest_steps(&kernels, proof::installed, &mut reports)?;
    }
    if steps.contains(&Step::Cost) {
        cost_steps(&matrix, &mut reports)?;
    }
    print_table(&reports);
    let all: Vec<Check> = reports
        .into_iter()
        .flat_map(|report| report.checks)
        .collect();
    let [passed, failed, skipped] = verdict::count(&all);
    println!("\nin {}", minutes(start.elapsed()));
    let skipped = if skipped == 0 {
        String::new()
    } else {
        format!(", {skipped} skipped")
    };
    println!("{passed} passed, {failed} failed{skipped}");
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn host_steps(steps: &[Step]) -> Report {
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

fn fetch(matrix: &[String]) -> Vec<(String, Result<Kernel>)> {
    matrix
        .iter()
        .map(|which| (which.clone(), kernels::get(which)))
        .collect()
}

/// A guest for each kernel.
fn guest_steps(
    kernels: &[(String, Result<Kernel>)],
    proof: impl Fn(&Kernel, Accel) -> Result<Vec<Check>> + Sync,
    reports: &mut Vec<Report>,
) -> Result<()> {
    let first = kernels.iter().find_map(|(_, kernel)| kernel.as_ref().ok());
    let accel = first.map_or(Ok(Accel::Tcg), accel::choose)?;
    println!(
        "guests: {} on {accel:?}, {GUESTS_AT_ONCE} side by side",
        kernels.len()
    );
    let prove = |(which, kernel): &(String, Result<Kernel>)| {
        let proven = match kernel {
            Ok(kernel) => proof(kernel, accel),
            Err(error) => Err(anyhow!("{error:#}")),
        };
        let checks = proven.unwrap_or_else(|error| {
            let check = Check::new("guest", "run", Outcome::Fail, format!("{error:#}"));
            print_check(which, &check);
            vec![check]
        });
        (which.clone(), checks)
    };
    for (place, checks) in side_by_side(kernels.iter().collect(), prove) {
        add(reports, place, checks);
    }
    Ok(())
}

/// In the line of the kernel's other proofs, if there is one.
fn add(reports: &mut Vec<Report>, place: String, checks: Vec<Check>) {
    match reports.iter_mut().find(|report| report.place == place) {
        Some(report) => report.checks.extend(checks),
        None => reports.push(Report { place, checks }),
    }
}

/// Does the same for each, [`GUESTS_AT_ONCE`] at a time.
fn side_by_side<T: Send, U: Send>(all: Vec<T>, each: impl Fn(T) -> U + Sync) -> Vec<U> {
    let queue = Mutex::new(VecDeque::from(all));
    let done = Mutex::new(Vec::new());
    let next = || {
        queue
            .lock()
            .expect("no thread panics with the queue")
            .pop_front()
    };
    thread::scope(|scope| {
        for _ in 0..GUESTS_AT_ONCE {
            scope.spawn(|| {
                while let Some(one) = next() {
                    let result = each(one);
                    done.lock()
                        .expect("no thread panics with the results")
                        .push(result);
                }
            });
        }
    });
    done.into_inner().expect("all threads have ended")
}

/// Each kernel of the matrix whose figures are committed, in a guest of one CPU: it leaves the other to a second guest.
fn cost_steps(matrix: &[String], reports: &mut Vec<Report>) -> Result<()> {
    let committed = bench::committed()?;
    let wanted = bench::KERNELS.map(str::to_owned);
    let suites: Vec<String> = wanted
        .into_iter()
        .filter(|suite| matrix.contains(suite))
        .collect();
    println!(
        "cost: {} guests, {GUESTS_AT_ONCE} side by side",
        suites.len()
    );
    let judge = |suite: String| {
        let checks = match kernels::get(&suite) {
            Ok(kernel) => bench::short(&kernel, committed.as_ref()),
            Err(error) => {
                let error = format!("{error:#}");
                vec![Check::new("cost", "run", Outcome::Fail, error)]
            }
        };
        (suite, checks)
    };
    for (place, checks) in side_by_side(suites, judge) {
        add(reports, place, checks);
    }
    Ok(())
}

pub fn print_check(place: &str, check: &Check) {
    let Check {
        outcome,
        group,
        name,
        detail,
    } = check;
    let name = if place == group {
        name.clone()
    } else {
        format!("{group}/{name}")
    };
    // What passed is not read again; the whole line is in the guest's console log.
    let shown = if *outcome == Outcome::Pass { 100 } else { 2000 };
    let more = if detail.chars().count() > shown {
        "…"
    } else {
        ""
    };
    let detail: String = detail.chars().take(shown).collect();
    println!("{place:16}  {}  {name}  {detail}{more}", outcome.word());
}

/// Kernels down, groups of checks across.
fn print_table(reports: &[Report]) {
    let (host, guests): (Vec<_>, Vec<_>) =
        reports.iter().partition(|report| report.place == "host");
    for check in host.iter().flat_map(|report| &report.checks) {
        print!("\n{:16}  {}", check.name, check.outcome.word());
    }
    println!();
    if guests.is_empty() {
        return;
    }
    let groups: BTreeSet<&str> = guests
        .iter()
        .flat_map(|report| &report.checks)
        .map(|check| check.group.as_str())
        .collect();
    print!("\n{:16}", "kernel");
    for group in &groups {
        print!("  {group:>12}");
    }
    println!();
    let mut guests = guests;
    guests.sort_by(|a, b| a.place.cmp(&b.place));
    for report in guests {
        print!("{:16}", report.place);
        for group in &groups {
            let of: Vec<Check> = report
                .checks
                .iter()
                .filter(|check| check.group == *group)
                .cloned()
                .collect();
            print!("  {:>12}", cell(verdict::count(&of)));
        }
        println!();
    }
}

fn cell([passed, failed, skipped]: [usize; 3]) -> String {
    match (passed + failed + skipped, failed, skipped) {
        (0, ..) => "-".to_owned(),
        (all, 0, 0) => format!("{all} ok"),
        (_, 0, skipped) => format!("{passed} ok, {skipped} skip"),
        (all, failed, _) => format!("{failed}/{all} FAIL"),
    }
}

pub fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, cell, minutes};

    #[test]
    fn cells_show_the_worst_first() {
        assert_eq!(cell([0, 0, 0]), "-");
        assert_eq!(cell([3, 0, 0]), "3 ok");
        assert_eq!(cell([3, 0, 1]), "3 ok, 1 skip");
        assert_eq!(cell([3, 2, 1]), "2/6 FAIL");
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(minutes(Duration::from_millis(1500)), "1.5 s");
        assert_eq!(minutes(Duration::from_secs(125)), "2 min 05 s");
    }
}
