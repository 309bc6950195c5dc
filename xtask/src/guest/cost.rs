//! What watching costs: instructions per system call, with nobody there and with somebody who watches.

mod clock;
mod figure;
mod watch;
mod work;

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use figure::Figure;
use watch::Watch;
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
    // What the boot left behind ends first.
    rest();
    clock::check()?;
    if !args.agent {
        println!("{}", args.work.measure()?);
        return Ok(());
    }
    settle(|| watch::agent(&args.options))?;
    let added = added(&args.work, || watch::agent(&args.options))?;
    println!("nobody there: {}", added.before);
    println!("watched:      {}", added.with);
    println!("nobody again: {}", added.after);
    println!("added:        {:.1} instructions per call", added.count());
    Ok(())
}

/// Until the first tracing program was loaded and gone, the same calls take twice as long on some kernels (seen on 6.12).
fn settle(start: impl Fn() -> Result<Box<dyn Watch>>) -> Result<()> {
    start()?.stop()?;
    rest();
    Ok(())
}

/// What one who watches adds.
struct Added {
    before: Figure,
    with: Figure,
    after: Figure,
}

impl Added {
    /// Instructions per call.
    fn count(&self) -> f64 {
        self.with.median - self.before.median.min(self.after.median)
    }
}

fn added(work: &Work, start: impl Fn() -> Result<Box<dyn Watch>>) -> Result<Added> {
    let before = work.measure()?;
    let watch = start()?;
    rest();
    let with = work.measure();
    watch.stop()?;
    rest();
    Ok(Added {
        before,
        with: with?,
        after: work.measure()?,
    })
}

/// Attaching and detaching leave work behind, for RCU and for workqueues. Time is free in this guest: an idle CPU skips it.
fn rest() {
    sleep(Duration::from_secs(1));
}
