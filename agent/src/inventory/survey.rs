//! Takes an inventory of the running kernel.
//!
//! ```text
//! let mut survey = Survey::open(&kernel);       // before the probes are loaded: it tells where the page tables are
//! let inventory = survey.inventory(budget);     // after they are attached
//! ... insert inventory.pagemaps into the live table ...
//! let live = survey.again();                    // drop from the table what is not in it any more
//! let surveyor = survey.into_surveyor();        // the reader is gone from the kernel
//! ```
//!
//! [`take`] is for those who need it once.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::Result;
use daxscope_common::tables::Paging;

use super::{
    Inventory, Pagemap, Source,
    backing::Surveyor,
    fallback,
    memmap::MemoryMap,
    names::{Names, SYSFS},
    pagemaps::Walker,
    pins::Counts,
    reader::Reader,
};
use crate::kernel::{
    Kernel, addresses::Addresses, btf::Btf, facts::Facts, memory::Memory, nodes::Nodes,
    paging::PageTables,
};

/// An inventory of the moment. Does not leave a reader in the kernel.
#[must_use]
pub fn take(kernel: &Kernel, budget: Duration) -> Inventory {
    Survey::open(kernel).inventory(budget)
}

/// What is needed to take an inventory, and to see what of it is still there.
pub struct Survey {
    facts: Facts,
    /// `Err` holds why the kernel's list cannot be read.
    list: Result<List, String>,
}

/// The kernel's list of pagemaps, and the means to read it.
struct List {
    reader: Reader,
    walker: Walker,
    looks: Looks,
}

impl Survey {
    /// Loads the reader, and finds what it is to read.
    #[must_use]
    pub fn open(kernel: &Kernel) -> Self {
        let facts = Facts::read(kernel.btf.as_ref());
        Self {
            list: List::open(kernel, &facts).map_err(words),
            facts,
        }
    }

    /// Why the kernel's list cannot be read; `None` if it can.
    #[must_use]
    pub fn unreadable(&self) -> Option<&str> {
        self.list.as_ref().err().map(String::as_str)
    }

    /// Why it cannot be measured what backs struct pages; `None` if it can.
    #[must_use]
    pub fn unmeasurable(&self) -> Option<&str> {
        match &self.list {
            Ok(list) => list.looks.backing.as_ref().err().map(String::as_str),
            Err(reason) => Some(reason),
        }
    }

    /// Where the kernel's page tables are, as far as that is known.
    #[must_use]
    pub fn paging(&self) -> Paging {
        let surveyor = self.list.as_ref().ok();
        let surveyor = surveyor.and_then(|list| list.looks.backing.as_ref().ok());
        surveyor.map_or(Paging::UNKNOWN, Surveyor::paging)
    }

    /// Memory of the kernel.
    ///
    /// # Errors
    /// When there is no reader, or it cannot read that.
    pub fn memory(&mut self, range: Range<u64>) -> Result<Vec<u8>> {
        let List { reader, .. } = self
            .list
            .as_mut()
            .map_err(|reason| anyhow::anyhow!("{reason}"))?;
        let mut bytes = vec![0; usize::try_from(range.end - range.start)?];
        reader.read(range.start, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads the kernel's list of pagemaps, or where that is impossible sysfs, and measures each within a budget for
    /// all of them together.
    pub fn inventory(&mut self, budget: Duration) -> Inventory {
        let read = match &mut self.list {
            Ok(list) => list.read(budget).map_err(words),
            Err(reason) => Err(reason.clone()),
        };
        read.unwrap_or_else(|reason| {
            let names = Names::read(SYSFS.as_ref());
            let (pagemaps, skipped) = fallback::pagemaps(&names, &self.facts);
            Inventory {
                source: Source::Sysfs { reason },
                pagemaps,
                skipped,
            }
        })
    }

    /// The pagemaps in the kernel's list now, not measured; `None` where it cannot be told.
    pub fn again(&mut self) -> Option<Vec<Pagemap>> {
        let List { reader, walker, .. } = self.list.as_mut().ok()?;
        Some(walker.pagemaps(reader).ok()?.pagemaps)
    }

    /// What measures pagemaps. The reader is gone from the kernel.
    ///
    /// # Errors
    /// Why nothing can be measured.
    pub fn into_surveyor(self) -> Result<Surveyor, String> {
        self.list?.looks.backing
    }
}

impl List {
    fn open(kernel: &Kernel, facts: &Facts) -> Result<Self> {
        let addresses = kernel.symbols.addresses.as_ref();
        let addresses = addresses.map_err(|error| anyhow::anyhow!("{error:#}"))?;
        let btf = kernel.btf.as_ref();
        let btf = btf.map_err(|error| anyhow::anyhow!("{error:#}"))?;
        let walker = Walker::of(btf, facts, addresses)?;
        let mut reader = Reader::load()?;
        Ok(Self {
            looks: Looks::of(btf, facts, addresses, &mut reader),
            reader,
            walker,
        })
    }

    fn read(&mut self, budget: Duration) -> Result<Inventory> {
        let found = self.walker.pagemaps(&mut self.reader)?;
        let mut pagemaps = found.pagemaps;
        self.looks.at(&mut self.reader, &mut pagemaps, budget);
        Ok(Inventory {
            source: Source::PgmapArray,
            pagemaps,
            skipped: found.skipped,
        })
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "for `map_err`, which hands it over"
)]
fn words(error: anyhow::Error) -> String {
    format!("{error:#}")
}

/// What is looked at of each pagemap: `Err` holds the reason why it cannot be.
struct Looks {
    backing: Result<Surveyor, String>,
    pins: Result<Counts, String>,
}

impl Looks {
    fn of(btf: &Btf, facts: &Facts, addresses: &Addresses, memory: &mut impl Memory) -> Self {
        let tables = PageTables::of(addresses, memory);
        let found = tables.and_then(|tables| Ok((MemoryMap::of(facts, &tables)?, tables)));
        let (map, tables) = match found.map_err(words) {
            Ok(found) => found,
            Err(reason) => {
                return Self {
                    backing: Err(reason.clone()),
                    pins: Err(reason),
                };
            }
        };
        let nodes = Nodes::read(map.page_shift).map_err(words);
        Self {
            backing: nodes.map(|nodes| Surveyor::of(facts, map, tables, nodes)),
            pins: Counts::of(btf, facts, map).map_err(words),
        }
    }

    /// Looks at each within an equal share of the time that is left: what backs all of them first.
    fn at(&self, memory: &mut impl Memory, pagemaps: &mut [Pagemap], budget: Duration) {
        let end = Instant::now() + budget;
        let mut left = 2 * u32::try_from(pagemaps.len()).unwrap_or(u32::MAX / 2);
        let mut until = || {
            let now = Instant::now();
            let share = end.saturating_duration_since(now) / left.max(1);
            left -= 1;
            now + share
        };
        for pagemap in &mut *pagemaps {
            let until = until();
            let surveyor = self.backing.as_ref().map_err(Clone::clone);
            pagemap.backing = surveyor.and_then(|surveyor| {
                let more = || Instant::now() < until;
                surveyor.measure(memory, pagemap, more).map_err(words)
            });
        }
        for pagemap in pagemaps {
            let until = until();
            let counts = self.pins.as_ref().map_err(Clone::clone);
            pagemap.pins = counts.and_then(|counts| {
                let more = || Instant::now() < until;
                counts.pins(memory, pagemap, more).map_err(words)
            });
        }
    }
}
