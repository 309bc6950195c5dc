//! What watching costs: instructions per system call, with nobody there and with somebody who watches.

mod added;
mod clock;
mod counts;
mod daemon;
mod entered;
mod events;
mod figure;
mod peers;
mod process;
mod remap;
mod script;
mod session;
mod watch;
mod work;

use anyhow::{Context, Result};

use crate::bench::reading::{MARK, Reading};
use crate::guest::region::{self, Device, GEOMETRIES, Map, Wanted};
use work::Work;

/// `xtask guest cost`; the guest must run with `cargo xtask vm --icount`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    work: Work,
    /// Measure what `daxscope run` adds too, with the options that follow `--`
    #[arg(long)]
    agent: bool,
    /// Options for `daxscope run`
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<String>,
}

pub fn main(args: &Args) -> Result<()> {
    ready()?;
    if !args.agent {
        println!("{}", args.work.measure()?);
        return Ok(());
    }
    let options: Vec<&str> = args.options.iter().map(String::as_str).collect();
    let start = || -> Result<Box<dyn watch::Watch>> { Ok(Box::new(watch::agent(&options)?)) };
    added::settle(start)?;
    for added in added::to(std::slice::from_ref(&args.work), start)? {
        let added = added?;
        println!("nobody there: {}", added.before);
        println!("watched:      {}", added.with);
        println!("nobody again: {}", added.after);
        println!("added:        {:.1} instructions per call", added.count());
    }
    Ok(())
}

/// `xtask guest bench`: all that can be measured in this guest, a line for each figure.
#[derive(clap::Args, Debug)]
pub struct BenchArgs {
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',')]
    part: Vec<Part>,
    /// Scrapes before the agent's memory is looked at again
    #[arg(long, default_value_t = 1000)]
    scrapes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// What the agent adds to calls
    Ours,
    /// What it adds with more turned on than usual
    More,
    /// What other tools add to them
    Others,
    /// What the agent adds to calls of all CPUs at once
    Cpus,
    /// What it adds to `memremap_pages`
    Remap,
    /// What it takes itself, with all devices of the guest
    Daemon,
    /// The same of bpftrace
    Bpftrace,
    /// What a session takes to begin, beside bpftrace with one kprobe
    Session,
}

pub fn bench(args: &BenchArgs) -> Result<()> {
    ready()?;
    let nonce = std::env::var("DAXSCOPE_NONCE").unwrap_or_else(|_| "no-nonce".to_owned());
    let mut tell = |reading: Reading| println!("{MARK} {nonce} {}", reading.json());
    let devices = devices()?;
    let first = devices
        .first()
        .context("no emulated NVDIMM in this guest")?;
    let works = counts::Works::all(&first.path.display().to_string());
    let mut scrape = None;
    for part in &args.part {
        match part {
            Part::Ours => counts::ours(&works, &mut tell)?,
            Part::More => counts::more(&works, &mut tell),
            Part::Others => counts::others(&works, &mut tell)?,
            Part::Cpus => counts::all_cpus(&mut tell)?,
            Part::Remap => tell(Reading::new("memremap", daemon::OURS, remap::share(first))),
            Part::Daemon => {
                tell(Reading::new("binary", daemon::OURS, daemon::binary()));
                scrape = Some(daemon::ours(args.scrapes, &mut tell)?);
            }
            Part::Session => session::all(&mut tell),
            Part::Bpftrace => {
                let scrape = scrape
                    .as_ref()
                    .context("`daemon` comes before `bpftrace`")?;
                daemon::bpftrace(scrape, &mut tell);
            }
        }
    }
    Ok(())
}

/// All of the guest, in huge pages.
fn devices() -> Result<Vec<Device>> {
    let wanted = Wanted::devdax(GEOMETRIES[1], Map::Mem);
    let names = region::all_namespaces()?;
    names
        .iter()
        .map(|name| Device::create(name, wanted))
        .collect()
}

fn ready() -> Result<()> {
    // What the boot left behind ends first.
    added::rest();
    clock::check()
}
