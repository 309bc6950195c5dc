//! The proof: known work, the kernel's account of it, the agent's account of it, compared to the page.

mod advice;
mod amount;
mod crossings;
mod cycles;
mod daemon;
mod displaced;
mod errors;
mod exposition;
mod held;
mod hosts;
mod inventory;
mod listed;
mod parked;
mod pins;
mod regions;
mod self_cost;
mod sessions;
mod stage;
mod stop;
mod stuck;
mod truth;
mod twins;
mod untimed;
mod verdict;

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};

use super::agent::Agent;
use super::oracle::{self, Hits};
use super::report::{Figures, Report};
pub use daemon::{others_read_maps, try_bpf};
use stage::Stage;
use stop::Ending;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// An eighth of the pages: while working on the checks
    #[arg(long)]
    quick: bool,
    /// Only these parts
    #[arg(long, value_delimiter = ',', value_enum)]
    part: Vec<Part>,
}

/// What can be proven by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Regions under a running agent, pins and errors, by each mechanism
    Figures,
    /// Regions that were there before the agent
    Inventory,
    /// Regions that go and come
    Cycles,
    /// Threads that sit in the kernel
    Parked,
    /// Pins that are kept
    Held,
    /// Ten million pins
    Amount,
    /// A region that cannot go
    Stuck,
    /// Two agents
    Twins,
    /// Layouts that are advised
    Advice,
    /// What the agent says of its own cost
    SelfCost,
    /// Requests that are counted and not timed
    Untimed,
    /// Ad-hoc sessions beside a daemon
    Sessions,
    /// The daemon as a service
    Daemon,
    /// Hosts that let the agent see less
    Hosts,
}

const PARTS: [Part; 14] = [
    Part::Figures,
    Part::Inventory,
    Part::Cycles,
    Part::Parked,
    Part::Held,
    Part::Amount,
    Part::Stuck,
    Part::Twins,
    Part::Advice,
    Part::SelfCost,
    Part::Untimed,
    Part::Sessions,
    Part::Daemon,
    Part::Hosts,
];

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9954);

/// How much of the proof one mechanism gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Full,
    /// One region and one kind of pin: enough to see that the default picks probes that count.
    Brief,
}

/// Every start costs an emulated guest many seconds, so each ends in another way.
const STAGES: [(&str, Scope, Ending); 3] = [
    ("auto", Scope::Brief, Ending::Interrupt),
    ("fentry", Scope::Full, Ending::Terminate),
    ("kprobe", Scope::Full, Ending::Kill),
];

pub fn main(args: &Args) -> Result<()> {
    let mut report = Report::new();
    for part in PARTS {
        if !args.part.is_empty() && !args.part.contains(&part) {
            continue;
        }
        match part {
            Part::Figures => figures(&mut report, args.quick)?,
            Part::Inventory => inventory::all(&mut report),
            Part::Cycles => cycles::all(&mut report, args.quick),
            Part::Parked => parked::all(&mut report)?,
            Part::Held => held::all(&mut report),
            Part::Amount => amount::all(&mut report, args.quick)?,
            Part::Stuck => stuck::all(&mut report),
            Part::Twins => twins::all(&mut report),
            Part::Advice => advice::all(&mut report),
            Part::SelfCost => self_cost::all(&mut report),
            Part::Untimed => untimed::all(&mut report),
            Part::Sessions => sessions::all(&mut report),
            Part::Daemon => daemon::all(&mut report),
            Part::Hosts => hosts::all(&mut report),
        }
    }
    report.finish();
    Ok(())
}

fn figures(report: &mut Report, quick: bool) -> Result<()> {
    for (mechanism, ..) in STAGES {
        verdict::check(report, mechanism);
    }
    stop::refusals(report, LISTEN);

    // The oracle's probes stay for the whole part: each registration costs the emulated guest seconds.
    let gup = oracle::GUP.iter().map(|(symbol, ..)| *symbol);
    let hits = Hits::watch(oracle::MEMREMAP.iter().copied().chain(gup))?;
    for (mechanism, scope, ending) in STAGES {
        let before = stop::Leftovers::read();
        if let Some(agent) = prove(report, &hits, mechanism, scope, quick) {
            stop::ended(report, mechanism, agent, &before, ending);
        }
    }
    Ok(())
}

/// Everything that one running agent is compared in; returns it still running, if it started.
fn prove(
    report: &mut Report,
    hits: &Hits,
    mechanism: &str,
    scope: Scope,
    quick: bool,
) -> Option<Agent> {
    let mut running = None;
    report.check(&format!("run/{mechanism}-starts"), |figures| {
        // The log makes other programs of the object, which must load as well: in the stage where nothing is lost.
        let log = (scope == Scope::Brief).then_some("--bpf-log");
        let options = ["--mechanism", mechanism].into_iter().chain(log);
        let agent = Agent::start(&options.collect::<Vec<_>>(), LISTEN)?;
        exposition::probes(&agent.scrape()?, figures)?;
        running = Some(agent);
        Ok(())
    });
    let agent = running?;
    let stage = Stage::new(mechanism, &agent, hits, scope, quick);
    let devices = regions::created(report, &stage);
    pins::all(report, &stage, &devices);
    errors::all(report, &stage);
    regions::destroyed(report, &stage, devices);
    regions::on_device(report, &stage);
    exposition::scrape(report, &stage);
    if scope == Scope::Full {
        let nonce = report.nonce().to_owned();
        report.check(&format!("run/{mechanism}-scrape-for-promtool"), |figures| {
            hand_over(&agent.scrape()?.text, &nonce, figures)
        });
    }
    Some(agent)
}

/// The host reads this one and gives what comes to promtool.
const SECOND_CONSOLE: &str = "/dev/ttyS1";

fn hand_over(scrape: &str, nonce: &str, figures: &mut Figures) -> Result<()> {
    let mut console = match OpenOptions::new().write(true).open(SECOND_CONSOLE) {
        Ok(console) => console,
        Err(error) => {
            figures.skip(format!(
                "{SECOND_CONSOLE}: {error}: this guest has no second serial port"
            ));
            return Ok(());
        }
    };
    let text = format!("DAXSCOPE-SCRAPE-BEGIN {nonce}\n{scrape}DAXSCOPE-SCRAPE-END {nonce}\n");
    console
        .write_all(text.as_bytes())
        .with_context(|| format!("cannot write to {SECOND_CONSOLE}"))?;
    figures.note(format!("{} bytes on {SECOND_CONSOLE}", scrape.len()));
    Ok(())
}
