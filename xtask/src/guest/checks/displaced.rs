//! Two threads whose calls in flight share a slot: one sits in the kernel with it, the other's calls go to the hash.

use std::fs;

use anyhow::{Context, Result, bail, ensure};

use super::parked::{Way, settled};
use super::stage::{Change, Stage};
use crate::guest::pin::{By, Hand, Memory, Parked};
use crate::guest::region::PAGE;
use crate::guest::report::Figures;

/// Threads whose numbers are so far apart share a slot: half of `GUP_SLOTS` (common/src/span.rs), two for each thread.
const APART: u32 = 4096;
const CALLS: u64 = 1000;
/// Somebody else may take the number first.
const TRIES: u32 = 5;

pub fn each_is_counted(figures: &mut Figures, stage: &Stage) -> Result<()> {
    let way = Way::find(stage, &stage.agent.scrape()?)?;
    let before = stage.moment()?;
    let mut parked = Parked::start(way.by, 1)?;
    let sits = parked.thread()?;
    let calls = (1..=TRIES).find_map(|turn| calls_as(sits + turn * APART, way.by).transpose());
    let thread = calls.context("the numbers wished for were taken")??;
    figures.note(format!("thread {sits} sits, {thread} calls {CALLS} times"));
    parked.release()?;
    let after = settled(stage)?;
    let change = Change::between(&before, &after);
    let calls = change.hits(way.symbol);
    figures.holds(
        &format!("{} called {calls} times", way.symbol),
        calls > CALLS,
    );
    let counted = change.agent.of("daxscope_gup_calls_total", &way.labels);
    let [timed, durations] = change.timed(way.labels[0].1);
    let left_out = change.left_out(way.symbol, "return");
    if stage.preempted(&change) {
        figures.equal("calls counted and left out", calls, counted + left_out);
    } else {
        figures.equal("calls", calls, counted);
        figures.equal("durations", timed, durations);
        figures.equal("lost", 0, change.lost());
    }
    Ok(())
}

/// Makes calls from a thread of that number; `None` if it was given to somebody else.
fn calls_as(number: u32, by: By) -> Result<Option<u32>> {
    let (hand, memory) = (Hand::ready(by)?, Memory::anonymous(1)?);
    // The next thread gets the number after this (Documentation/admin-guide/sysctl/kernel.rst).
    fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string())
        .context("cannot choose a thread's number")?;
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| {
            // SAFETY: no arguments.
            let own = unsafe { libc::gettid() }.cast_unsigned();
            if own != number {
                return Ok(None);
            }
            for _ in 0..CALLS {
                hand.pin(memory.at(0), PAGE)?;
            }
            Ok(Some(own))
        });
        match calling.join() {
            Ok(done) => done,
            Err(_) => bail!("the calling thread panicked"),
        }
    })
}

impl Parked {
    /// The number of its only thread beside the first.
    fn thread(&self) -> Result<u32> {
        let own = self.id();
        let mut others = Vec::new();
        for task in fs::read_dir(format!("/proc/{own}/task"))? {
            let number: u32 = task?.file_name().to_string_lossy().parse()?;
            if number != own {
                others.push(number);
            }
        }
        ensure!(others.len() == 1, "{} threads, not 1", others.len());
        Ok(others[0])
    }
}
