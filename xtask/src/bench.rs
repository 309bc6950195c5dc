//! `cargo xtask bench`: what watching costs, beside what others cost, with targets.

mod compare;
mod picture;
pub mod reading;
mod record;
mod report;
mod rows;
mod run;

use std::process::ExitCode;

use anyhow::Result;

use crate::kernels::{self, Kernel};
use crate::setup::{self, Install};
use crate::test::{build_agent, print_check};
use crate::verdict::{self, Check};
use reading::Reading;
use record::{Figures, Record};
use run::{Ask, DEVICES};

/// What watching costs, counted in instructions: ours, the least possible, and other tools'
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench                        everything; says what moved since the committed figures
  cargo xtask bench --kernel trixie        one kernel
  cargo xtask bench --short                our own counts only, as `cargo xtask test` does; fails if one grew by 5 %
  cargo xtask bench --write                everything, into docs/cost.json, docs/cost.md and docs/cost.svg

Exit status: 0 measured, 1 not; with --short 1 if a count grew. A missed target is printed and fails nothing.")]
pub struct Args {
    /// Debian suites or folders with an unpacked kernel
    #[arg(long = "kernel", value_name = "SUITE|DIR", value_delimiter = ',', default_values = KERNELS)]
    kernels: Vec<String>,
    /// Only what the agent adds to calls, judged by the committed figures
    #[arg(long, conflicts_with = "write")]
    short: bool,
    /// Write the figures into docs/; those of kernels that were not measured stay
    #[arg(long)]
    write: bool,
    /// Scrapes before the agent's memory is looked at again
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    scrapes: u32,
    /// If something is missing on this machine, list it and fail
    #[arg(long)]
    no_install: bool,
}

/// Whose figures are committed: 5.10's are not, since its deduplication and so its geometries are not there yet.
pub const KERNELS: [&str; 3] = ["bookworm", "trixie", "trixie-backports"];

pub fn main(args: &Args) -> Result<ExitCode> {
    setup::ensure(&Install {
        allowed: !args.no_install,
        tests: false,
        peers: !args.short,
    })?;
    build_agent()?;
    let committed = Record::committed()?;
    if args.short {
        let mut checks = Vec::new();
        for suite in &args.kernels {
            checks.extend(short(&kernels::get(suite)?, committed.as_ref()));
        }
        let [passed, failed, skipped] = verdict::count(&checks);
        println!("{passed} passed, {failed} failed, {skipped} not judged");
        return Ok(if failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let mut now = Record {
        made: record::made(true),
        kernels: Vec::new(),
    };
    for suite in &args.kernels {
        let figures = full(&kernels::get(suite)?, args.scrapes)?;
        println!("\n{}", report::table(&figures));
        let before = committed
            .as_ref()
            .and_then(|record| record.kernel(&figures.suite));
        match before.map(|before| compare::what_moved(before, &figures)) {
            None => println!("{suite}: no committed figures to compare with"),
            Some(moved) if moved.is_empty() => {
                println!("{suite}: nothing moved since the committed figures");
            }
            Some(moved) => println!(
                "{suite}: moved since the committed figures:\n  {}",
                moved.join("\n  ")
            ),
        }
        now.kernels.push(figures);
    }
    if args.write {
        write(now, committed)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Kernels that were not measured keep what is committed of them.
fn write(mut now: Record, committed: Option<Record>) -> Result<()> {
    let old = committed.map_or_else(Vec::new, |record| record.kernels);
    let kept = old
        .into_iter()
        .filter(|old| now.kernel(&old.suite).is_none());
    let kept: Vec<Figures> = kept.collect();
    now.kernels.extend(kept);
    now.kernels
        .sort_by_key(|figures| KERNELS.iter().position(|suite| *suite == figures.suite));
    now.write()?;
    report::write(&now)?;
    picture::write(&now)
}

/// Everything, in three guests one after the other.
fn full(kernel: &Kernel, scrapes: u32) -> Result<Figures> {
    println!("{}: {}", kernel.name, kernel.release);
    let one = Ask {
        parts: &[
            "ours", "more", "others", "cpus", "remap", "daemon", "bpftrace",
        ],
        scrapes,
        cpus: 1,
        devices: DEVICES,
        peers: true,
        aloud: true,
    };
    let mut readings = run::guest(kernel, &one)?;
    for cpus in [2, 4] {
        let all = Ask {
            aloud: true,
            ..Ask::plain(&"cpus", cpus)
        };
        match run::guest(kernel, &all) {
            Ok(more) => readings.extend(more),
            // One row is no reason to throw the others away.
            Err(error) => {
                let row = format!("cpus-{cpus}");
                let reading = Reading::new(row, "daxscope/fentry", Err(error));
                println!("{:16}  {reading}", kernel.name);
                readings.push(reading);
            }
        }
    }
    Ok(figures(kernel, readings))
}

/// Our own counts on one kernel, judged by the committed ones; printed as they come.
pub fn short(kernel: &Kernel, committed: Option<&Record>) -> Vec<Check> {
    let measured = run::guest(kernel, &Ask::plain(&"ours", 1));
    let checks = match measured {
        Ok(readings) => compare::judge(committed, &figures(kernel, readings)),
        Err(error) => vec![Check::new(
            "cost",
            "run",
            verdict::Outcome::Fail,
            format!("{error:#}"),
        )],
    };
    for check in &checks {
        print_check(&kernel.name, check);
    }
    checks
}

/// The committed figures, for whoever judges by them.
pub fn committed() -> Result<Option<Record>> {
    Record::committed()
}

fn figures(kernel: &Kernel, readings: Vec<Reading>) -> Figures {
    Figures {
        suite: kernel.name.clone(),
        release: kernel.release.clone(),
        readings,
    }
}
