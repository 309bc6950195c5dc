//! Calls that take as long as one likes: each pins a page that comes late, through a userfaultfd
//! (`handle_userfault`, fs/userfaultfd.c).

use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::guest::pin::park;
use crate::guest::pin::{Hand, Memory};
use crate::guest::region::PAGE;

/// How long a call took at least and at most, in nanoseconds: as long as its page was kept back, and as the system call
/// that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub least: u64,
    pub most: u64,
}

/// Memory whose pages come late.
pub struct Slow {
    faults: OwnedFd,
}

/// The first page is kept back this long, each other by an eighth longer than the one before.
const FIRST: Duration = Duration::from_millis(20);

impl Slow {
    pub fn on(memory: &Memory) -> Result<Slow> {
        let faults = park::watched(memory)?;
        Ok(Slow { faults })
    }

    /// A call for each page, one after the other.
    pub fn pin(&self, hand: &Hand, memory: &Memory, calls: u64) -> Result<Vec<Bounds>> {
        let (kept, least) = mpsc::channel();
        std::thread::scope(|scope| {
            let late = scope.spawn(move || {
                let mut delay = FIRST;
                for page in 0..calls {
                    park::arrived(&self.faults, 1)?;
                    let begun = Instant::now();
                    std::thread::sleep(delay);
                    kept.send(nanoseconds(begun.elapsed()))?;
                    park::fill(&self.faults, memory, page)?;
                    delay += delay / 8;
                }
                anyhow::Ok(())
            });
            let mut bounds = Vec::new();
            for page in 0..calls {
                let begun = Instant::now();
                hand.pin(memory.at(page), PAGE)?;
                let most = nanoseconds(begun.elapsed());
                let least = least.recv().context("nobody filled the page")?;
                bounds.push(Bounds { least, most });
            }
            late.join()
                .map_err(|_| anyhow!("the filling thread panicked"))??;
            Ok(bounds)
        })
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
