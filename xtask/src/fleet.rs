//! `cargo xtask fleet`: what is beside the agent for Prometheus and Grafana, used for real: promtool's checks, and one Prometheus
//! that scrapes simulated hosts, evaluates the rules and answers every query of the dashboards.

mod hosts;
mod judge;
mod rules;
mod server;

use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, ensure};

use crate::command::workspace;
use crate::setup::{self, Install};
use crate::target_dir;
use hosts::Hosts;
use server::Prometheus;

/// One Prometheus against many simulated hosts: scrape time, series, rule evaluation
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask fleet                              1,000 hosts, five minutes: the figures of docs/fleet.md
  cargo xtask fleet --hosts 100 --seconds 30 --interval 2    as the gate does")]
pub struct Args {
    /// Simulated hosts
    #[arg(long, default_value_t = 1000)]
    hosts: usize,
    /// For how long, in seconds, once all are scraped
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// Seconds between two scrapes of a host, and between two evaluations of the rules
    #[arg(long, default_value_t = 15)]
    interval: u64,
}

/// What the gate takes.
const SHORT: Args = Args {
    hosts: 100,
    seconds: 20,
    interval: 2,
};

pub fn main(args: &Args) -> Result<()> {
    setup::ensure(&Install {
        allowed: true,
        tests: true,
        peers: false,
    })?;
    observe(args)
}

/// The step `prometheus` of the gate.
pub fn step() -> Result<()> {
    rules::check()?;
    observe(&SHORT)
}

fn observe(args: &Args) -> Result<()> {
    ensure!(
        args.hosts > 2,
        "--hosts: two of them are ill, so 3 at least"
    );
    let template = fs::read_to_string(workspace().join("deploy/testdata/exposition.txt"))
        .context("cannot read deploy/testdata/exposition.txt")?;
    let hosts = Hosts::start(&template, args.hosts)?;
    let prometheus = Prometheus::start(&folder()?, &hosts, args.interval)?;
    let all = |expr: &str| prometheus.one(expr);
    wait("every host is scraped", Duration::from_mins(3), || {
        #[expect(clippy::cast_precision_loss, reason = "a number of hosts")]
        let expected = args.hosts as f64;
        Ok(all("count(up)")? == Some(expected))
    })?;
    // Rates need two scrapes, rules over rules an evaluation each.
    thread::sleep(Duration::from_secs(args.seconds.max(4 * args.interval)));
    judge::rules(&prometheus)?;
    judge::alerts(&prometheus)?;
    judge::queries(&prometheus, args.interval)?;
    println!("{}", judge::figures(&prometheus, args)?);
    Ok(())
}

fn folder() -> Result<PathBuf> {
    let folder = target_dir()?.join("fleet");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// Asks again and again; what cannot be asked yet is not so yet.
fn wait(what: &str, limit: Duration, mut so: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    loop {
        let last = so();
        if matches!(last, Ok(true)) {
            return Ok(());
        }
        if start.elapsed() > limit {
            last?;
            anyhow::bail!("after {} s it is not so that {what}", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(250));
    }
}
