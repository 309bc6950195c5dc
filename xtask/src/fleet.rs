//! `cargo xtask fleet`: what is beside the agent for Prometheus and Grafana, used for real: promtool's checks, and one Prometheus
//! that scrapes simulated hosts, evaluates the rules and answers every query of the dashboards.

mod case;
mod cluster;
mod config;
mod hosts;
mod ill;
mod judge;
mod queries;
mod rules;
mod secrets;
mod server;
mod shipped;

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, ensure};

use crate::command::workspace;
use crate::setup::{self, Install};
use crate::target_dir;
use config::{Config, write};
use hosts::Hosts;
use server::Prometheus;
use shipped::Shipped;

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

/// Of the configurations in deploy/prometheus, in seconds.
const AS_SHIPPED: u64 = 15;

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
    clean()?;
    observe(args)
}

/// The step `prometheus` of the gate.
pub fn step() -> Result<()> {
    clean()?;
    thread::scope(|scope| {
        let checked = scope.spawn(rules::check);
        let used = used();
        // What promtool says of a rule is said better than what becomes of it.
        checked.join().expect("no check panics")?;
        used
    })
}

fn used() -> Result<()> {
    // They are scraped while the others are.
    let shipped = Shipped::start()?;
    observe(&SHORT)?;
    shipped.judge()
}

fn observe(args: &Args) -> Result<()> {
    ensure!(
        (3..60_000).contains(&args.hosts),
        "--hosts: two of them are ill, so 3 at least, and each has an address: below 60000"
    );
    let template = fs::read_to_string(workspace().join("deploy/testdata/exposition.txt"))
        .context("cannot read deploy/testdata/exposition.txt")?;
    let hosts = Hosts::start(&template, args.hosts)?;
    let at = folder()?.join("hosts");
    fs::create_dir_all(&at).with_context(|| format!("cannot create {}", at.display()))?;
    write(&at.join("hosts.json"), &hosts.targets().to_string())?;
    let every = |what: &str, seconds: u64| format!("  {what}: {seconds}s\n");
    let mut config = Config::read("prometheus-file.yml")?.at(&at)?;
    for what in ["scrape_interval", "evaluation_interval"] {
        config = config.put(&every(what, AS_SHIPPED), &every(what, args.interval))?;
    }
    config.write(&at)?;
    let prometheus = Prometheus::start(&at)?;
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
    queries::judge(&prometheus, args.interval)?;
    println!("{}", judge::figures(&prometheus, args)?);
    Ok(())
}

/// Where everything of this is.
fn folder() -> Result<PathBuf> {
    Ok(target_dir()?.join("fleet"))
}

fn clean() -> Result<()> {
    let folder = folder()?;
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))
}

/// An address of the loopback device, in a network that is this process's own.
fn own_net(third: u8, fourth: u8) -> Ipv4Addr {
    let own = u8::try_from(std::process::id() % 200).unwrap_or_default();
    Ipv4Addr::new(127, 20 + own, third, fourth)
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

/// The line of a request that comes to one of our made servers; its headers are read to their end.
fn request(stream: &TcpStream) -> Result<String> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::from("-");
    while !header.trim().is_empty() {
        header.clear();
        reader.read_line(&mut header)?;
    }
    Ok(request)
}
