//! What one who watches adds to work: measured without, with, and without again.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::figure::Figure;
use super::watch::Watch;
use super::work::Work;
use crate::bench::reading::Amount;

/// Of one kind of work.
#[derive(Clone, Copy)]
pub struct Added {
    pub before: Figure,
    pub with: Figure,
    pub after: Figure,
}

impl Added {
    /// Instructions per call.
    pub fn count(&self) -> f64 {
        self.with.median - self.base()
    }

    /// A kernel that settles late is slower before than after, never the other way round.
    pub fn base(&self) -> f64 {
        self.before.median.min(self.after.median)
    }

    pub fn amount(&self) -> Amount {
        let drift = (self.before.median - self.after.median).abs();
        Amount {
            value: self.count(),
            spread: self.with.spread.max(self.before.spread).max(drift),
            base: Some(self.base()),
        }
    }
}

/// What it adds to each. An error of one kind of work is that one's alone; those of who watches are of all.
pub fn to(
    works: &[Work],
    start: impl Fn() -> Result<Box<dyn Watch>>,
) -> Result<Vec<Result<Added>>> {
    let all = || works.iter().map(Work::measure).collect::<Vec<_>>();
    let before = all();
    let watch = start()?;
    rest();
    let watched = works.iter().map(|work| {
        watch.sees(work.call)?;
        work.measure()
    });
    let with: Vec<Result<Figure>> = watched.collect();
    let counted = watch.stop()?;
    rest();
    let after = all();
    let made: u64 = with.iter().flatten().map(|figure| figure.calls).sum();
    if let Some(counted) = counted {
        ensure!(counted >= made, "it counted {counted} of {made} calls");
    }
    let each = before.into_iter().zip(with).zip(after);
    Ok(each
        .map(|((before, with), after)| {
            Ok(Added {
                before: before?,
                with: with?,
                after: after?,
            })
        })
        .collect())
}

/// Until the first tracing program was loaded and gone, the same calls take longer on some kernels (seen on 6.12). The
/// first start of a tool also fills the page cache with it.
pub fn settle(start: impl Fn() -> Result<Box<dyn Watch>>) -> Result<()> {
    start()?.stop()?;
    rest();
    Ok(())
}

/// Attaching and detaching leave work behind, for RCU and for workqueues. Time is free in this guest: an idle CPU skips it.
pub fn rest() {
    sleep(Duration::from_secs(1));
}
