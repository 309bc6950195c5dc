//! `xtask guest pin`: one plan, and what the kernel's own counters say about it.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{By, Memory, Plan};
use crate::guest::oracle::{self, FollPin, Hits};
use crate::guest::region::{self, PAGE};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// System call to pin with
    #[arg(long, value_enum)]
    by: By,
    /// `system`, or a device such as /dev/dax0.0
    #[arg(long, default_value = "system")]
    from: String,
    /// Pages to pin in all
    #[arg(long, default_value_t = 65_536)]
    pages: u64,
    /// Pages in one request
    #[arg(long)]
    per_call: Option<u64>,
    /// Threads that pin at the same time [default: two for each CPU]
    #[arg(long)]
    threads: Option<u64>,
}

pub fn main(args: &Args) -> Result<()> {
    let per_call = args.per_call.unwrap_or(args.by.usual_per_call());
    let plan = Plan::of_pages(
        args.by,
        args.pages,
        per_call,
        args.threads.unwrap_or_else(super::threads),
    );
    let memory = memory_of(&args.from, plan.threads * plan.per_call)?;
    let hits = Hits::watch(oracle::GUP.iter().map(|(symbol, ..)| *symbol))?;
    let (done, before, after) =
        super::run(&[plan], &memory, || Ok((FollPin::read()?, hits.read()?)))?;
    let (pinned, called) = (after.0.since(before.0), oracle::since(&after.1, &before.1));

    println!(
        "{} from {}: {} calls, {} pages ({} MiB) in {:.3} s by {} threads",
        args.by.name(),
        args.from,
        done.calls,
        done.pages,
        (done.pages * PAGE) >> 20,
        done.took.as_secs_f64(),
        plan.threads
    );
    println!(
        "kernel: nr_foll_pin_acquired +{}, nr_foll_pin_released +{}",
        pinned.acquired, pinned.released
    );
    for (symbol, calls) in called.iter().filter(|(_, calls)| **calls > 0) {
        println!("kernel: {symbol} called {calls} times");
    }
    Ok(())
}

/// Memory of `system`, or of a device-dax device.
pub fn memory_of(from: &str, pages: u64) -> Result<Memory> {
    if from == "system" {
        return Memory::anonymous(pages);
    }
    let path = PathBuf::from(from);
    let name = path
        .file_name()
        .context("--from takes `system` or a device such as /dev/dax0.0")?;
    Memory::device(&path, region::align(&name.to_string_lossy())?, pages)
}
