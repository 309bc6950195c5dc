//! Takes an inventory of the running kernel.
//!
//! ```text
//! let mut survey = Survey::take(&kernel, budget);     // after the probes are attached
//! ... insert survey.inventory().pagemaps into the live table ...
//! let live = survey.again();                          // drop from the table what is not in it any more
//! let inventory = survey.into_inventory();            // the reader is gone from the kernel
//! ```
//!
//! [`take`] is for those who need it once.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{
    Inventory, Pagemap, Source,
    backing::Surveyor,
    fallback,
    memmap::MemoryMap,
    names::{Names, SYSFS},
    pagemaps::{self, Walker},
    pins::Counts,
    reader::Reader,
};
use crate::kernel::{
    Kernel, addresses::Addresses, btf::Btf, facts::Facts, memory::Memory, nodes::Nodes, paging,
    paging::PageTables,
};

/// An inventory of the moment. Does not leave a reader in the kernel.
#[must_use]
pub fn take(kernel: &Kernel, budget: Duration) -> Inventory {
    Survey::take(kernel, budget).inventory
}

/// An inventory, and what is needed to see what of it is still there.
pub struct Survey {
    inventory: Inventory,
    list: Option<(Reader, Walker)>,
}

impl Survey {
    /// Reads the kernel's list of pagemaps, or where that is impossible sysfs, and measures each within a budget for
    /// all of them together.
    #[must_use]
    pub fn take(kernel: &Kernel, budget: Duration) -> Self {
        match Self::by_list(kernel, budget) {
            Ok(survey) => survey,
            Err(reason) => {
                let names = Names::read(SYSFS.as_ref());
                let facts = Facts::read(kernel.btf.as_ref());
                let (pagemaps, skipped) = fallback::pagemaps(&names, &facts);
                let reason = format!("{reason:#}");
                Self {
                    inventory: Inventory {
                        source: Source::Sysfs { reason },
                        pagemaps,
                        skipped,
                    },
                    list: None,
                }
            }
        }
    }

    fn by_list(kernel: &Kernel, budget: Duration) -> Result<Self> {
        let variables = [&[pagemaps::VARIABLE], paging::VARIABLES].concat();
        let addresses = Addresses::read(&variables)?;
        let btf = kernel.btf.as_ref();
        let btf = btf.map_err(|error| anyhow::anyhow!("{error:#}"))?;
        let facts = Facts::read(Ok(btf));
        let walker = Walker::of(btf, &facts, &addresses)?;
        let mut reader = Reader::load()?;
        let found = walker.pagemaps(&mut reader)?;
        let mut inventory = Inventory {
            source: Source::PgmapArray,
            pagemaps: found.pagemaps,
            skipped: found.skipped,
        };
        let looks = Looks::of(btf, &facts, &addresses, &mut reader);
        looks.at(&mut reader, &mut inventory.pagemaps, budget);
        Ok(Self {
            inventory,
            list: Some((reader, walker)),
        })
    }

    /// What was found.
    #[must_use]
    pub const fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// What was found, to be kept. The reader is gone from the kernel.
    #[must_use]
    pub fn into_inventory(self) -> Inventory {
        self.inventory
    }

    /// The pagemaps in the kernel's list now, not measured; `None` where it cannot be told.
    pub fn again(&mut self) -> Option<Vec<Pagemap>> {
        let (reader, walker) = self.list.as_mut()?;
        Some(walker.pagemaps(reader).ok()?.pagemaps)
    }
}

/// What is looked at of each pagemap: `Err` holds the reason why it cannot be.
struct Looks {
    backing: Result<Surveyor, String>,
    pins: Result<Counts, String>,
}

impl Looks {
    fn of(btf: &Btf, facts: &Facts, addresses: &Addresses, memory: &mut impl Memory) -> Self {
        let words = |reason: anyhow::Error| format!("{reason:#}");
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
        let words = |reason: anyhow::Error| format!("{reason:#}");
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
