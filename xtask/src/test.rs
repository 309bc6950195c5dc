//! `cargo xtask test`: everything that CI proves, on this machine and then in guests with real kernels.

mod host;
mod shown;

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};

use crate::accel::{self, Accel};
use crate::kernels::{self, Kernel};
use crate::setup::{self, Install};
use crate::verdict::{self, Check, Outcome};
use crate::vm::Nvdimms;
use crate::{bench, debian, proof};

use self::host::host_steps;
use self::shown::{print_failed, print_table};
pub use self::{host::build_agent, shown::minutes, shown::print_check};

/// Formatting, lints, tests, documents, what is shipped; then the proof on real kernels in guests
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask test                                   everything
  cargo xtask test --only fmt,clippy,unit            formatting, lints and tests; no guest
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
    /// The generated documents are up to date, and what documents point at is there
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
    print_failed(&reports);
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
