//! Takes an inventory of the running kernel.
//!
//! ```text
//! let mut survey = Survey::take(&kernel, budget);     // after the probes are attached
//! ... insert survey.inventory().pagemaps into the live table ...
//! let live = survey.again();                          // drop from the table what is not in it any more
//! drop(survey);                                       // the reader is gone from the kernel
//! ```
//!
//! [`take`] is for those who need it once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::{
    Inventory, Pagemap, Source,
    backing::Surveyor,
    pagemaps::{self, Walker},
    reader::Reader,
};
use crate::kernel::{
    Kernel, addresses::Addresses, facts::Facts, memory::Memory, nodes::Nodes, paging,
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
            Err(reason) => Self {
                inventory: Inventory {
                    source: Source::Sysfs {
                        reason: format!("{reason:#}"),
                    },
                    pagemaps: vec![],
                    skipped: vec![],
                },
                list: None,
            },
        }
    }

    fn by_list(kernel: &Kernel, budget: Duration) -> Result<Self> {
        let variables = [&[pagemaps::VARIABLE], paging::VARIABLES].concat();
        let addresses = Addresses::read(&variables)?;
        let walker = Walker::of(kernel, &addresses)?;
        let mut reader = Reader::load()?;
        let found = walker.pagemaps(&mut reader)?;
        let mut pagemaps = found.pagemaps;
        measure(kernel, &addresses, &mut reader, &mut pagemaps, budget);
        Ok(Self {
            inventory: Inventory {
                source: Source::PgmapArray,
                pagemaps,
                skipped: found.skipped,
            },
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

/// Fills in what backs each pagemap, and what pins it.
fn measure(
    kernel: &Kernel,
    addresses: &Addresses,
    memory: &mut impl Memory,
    pagemaps: &mut [Pagemap],
    budget: Duration,
) {
    let end = Instant::now() + budget;
    let surveyor = surveyor(kernel, addresses, memory);
    let count = u32::try_from(pagemaps.len()).unwrap_or(u32::MAX);
    for (left, pagemap) in (1..=count).rev().zip(pagemaps) {
        let now = Instant::now();
        let until = now + end.saturating_duration_since(now) / left;
        pagemap.backing = match &surveyor {
            Ok(surveyor) => surveyor
                .measure(memory, pagemap, || Instant::now() < until)
                .map_err(|reason| format!("{reason:#}")),
            Err(reason) => Err(format!("{reason:#}")),
        };
    }
}

fn surveyor(kernel: &Kernel, addresses: &Addresses, memory: &mut impl Memory) -> Result<Surveyor> {
    let facts = Facts::read(kernel.btf.as_ref());
    let tables = PageTables::of(addresses, memory).context("the kernel's page tables")?;
    let nodes = Nodes::read(facts.layout.page_shift)?;
    Surveyor::of(&facts, tables, nodes)
}
