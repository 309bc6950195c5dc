//! The hidden verb `inventory`: all that was found, with how long it took.

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Args;

use super::{Pagemap, Survey};
use crate::kernel::Kernel;

#[derive(Args)]
pub struct InventoryArgs {
    /// Time to measure in, for all pagemaps together; ms
    #[arg(long, default_value_t = 1000)]
    budget: u64,
    /// As of the other verbs
    #[arg(long, value_name = "FILE")]
    btf: Option<PathBuf>,
    /// Record the kernel memory that is read, for agent/tests/memory
    #[cfg(feature = "record")]
    #[arg(long)]
    record: bool,
}

/// Prints an inventory, a pagemap a line; bytes and milliseconds.
///
/// # Errors
/// When nothing is known of the kernel.
pub fn print(args: &InventoryArgs) -> Result<ExitCode> {
    let kernel = Kernel::read(args.btf.as_deref())?;
    #[cfg(feature = "record")]
    if args.record {
        print!("{}", super::record::write::record(&kernel)?);
        return Ok(ExitCode::SUCCESS);
    }
    let start = Instant::now();
    let mut survey = Survey::open(&kernel);
    let inventory = survey.inventory(Duration::from_millis(args.budget));
    let taken = start.elapsed();
    println!("{:?}, took {:.1} ms", inventory.source, ms(taken));
    for reason in &inventory.skipped {
        println!("skipped: {reason}");
    }
    for pagemap in &inventory.pagemaps {
        line(pagemap);
    }
    let before = inventory.pagemaps.len();
    let start = Instant::now();
    let again = survey.again().map_or(0, |live| live.len());
    println!(
        "again: {again} of {before}, took {:.1} ms",
        ms(start.elapsed())
    );
    Ok(ExitCode::SUCCESS)
}

fn line(pagemap: &Pagemap) {
    for range in &pagemap.ranges {
        print!("{:#x}+{} ", range.start, range.bytes());
    }
    print!("{} ", pagemap.kind);
    match &pagemap.shift {
        Ok(shift) => print!("shift {shift} "),
        Err(reason) => print!("shift ({reason}) "),
    }
    if let Some(altmap) = &pagemap.altmap {
        print!("altmap {}+{:?} ", altmap.free, altmap.alloc);
    }
    match &pagemap.backing {
        Ok(b) => print!(
            "ram {:?} device {} tables {} ({} of {}) ",
            b.ram, b.device, b.tables, b.looked, b.pieces
        ),
        Err(reason) => print!("backing ({reason}) "),
    }
    match &pagemap.pins {
        Ok(p) => println!("pins {} ({} of {})", p.pages, p.looked, p.units),
        Err(reason) => println!("pins ({reason})"),
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
