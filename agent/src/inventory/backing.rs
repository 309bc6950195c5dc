//! Which memory really backs the struct pages of a pagemap, by the kernel's page tables: a page frame that stands
//! behind several pieces of the memory map, as deduplicated tail pages do, counts once.

use anyhow::{Context as _, Result, bail};
use daxscope_common::tables::Paging;

use super::{
    Backing, Pagemap,
    memmap::{MemoryMap, Span},
    sample::{SEED, Seen, order},
};
use crate::kernel::{
    facts::Facts,
    memory::Memory,
    nodes::{Home, Nodes},
    paging::{self, PageTables},
};

/// What is needed to measure pagemaps.
pub struct Surveyor {
    map: MemoryMap,
    tables: PageTables,
    nodes: Nodes,
    /// `struct page.flags`, and where in it the node stands: its highest bits.
    flags: u64,
    node_shift: Option<u32>,
}

/// Pieces that are looked at together at most: those of a compound page of 8 GiB.
const PIECES: u64 = 64;

impl Surveyor {
    #[must_use]
    pub fn of(facts: &Facts, map: MemoryMap, tables: PageTables, nodes: Nodes) -> Self {
        let layout = &facts.layout;
        let known = facts.geometry_unknown.is_none();
        Self {
            map,
            tables,
            nodes,
            flags: layout.page_flags.into(),
            // From the top: node, zone (include/linux/page-flags-layout.h).
            node_shift: known.then(|| layout.zone_shift + layout.zone_mask.count_ones()),
        }
    }

    /// Where the kernel's page tables are.
    #[must_use]
    pub const fn paging(&self) -> Paging {
        self.tables.paging()
    }

    /// The physical address that a struct page stands for.
    #[must_use]
    pub const fn physical(&self, page: u64) -> u64 {
        (page.wrapping_sub(self.tables.vmemmap()) / self.map.page_size) << self.map.page_shift
    }

    /// Looks at all pieces of a pagemap's memory map, or when there is no `more` time at those of a sample.
    ///
    /// # Errors
    /// When memory cannot be read, or not all struct pages are mapped: the pagemap is coming up or going away.
    pub fn measure(
        &self,
        memory: &mut impl Memory,
        pagemap: &Pagemap,
        mut more: impl FnMut() -> bool,
    ) -> Result<Backing> {
        let spans = self.map.spans(pagemap)?;
        let shift = *pagemap.shift.as_ref().map_err(|e| anyhow::anyhow!("{e}"))?;
        // What is looked at together or not at all: whole compound pages, and whole pieces.
        let compound = self.map.page_size.checked_shl(shift).unwrap_or(u64::MAX);
        let part = compound
            .clamp(self.piece(), self.piece() * PIECES)
            .next_power_of_two();
        let parts: u64 = spans.iter().map(|span| span.count(part)).sum();
        let mut seen = Seen::default();
        let mut tables = Seen::default();
        let (mut looked, mut looked_pieces) = (0, 0);
        let (mut frames, mut of_tables) = (vec![], vec![]);
        for n in order(parts, SEED) {
            if looked > 0 && !more() {
                break;
            }
            let span = nth(&spans, part, n).context("no such part")?;
            for piece in (0..span.count(self.piece())).filter_map(|n| span.nth(self.piece(), n)) {
                let table = self.look(memory, piece, &mut frames)?;
                of_tables.extend(table);
                looked_pieces += 1;
            }
            seen.part(&mut frames);
            tables.part(&mut of_tables);
            looked += 1;
        }
        let mut backing = Backing {
            pieces: spans.iter().map(|span| span.count(self.piece())).sum(),
            looked: looked_pieces,
            ..Backing::default()
        };
        let sampled = (looked, parts);
        for (home, frames) in seen.estimate(sampled, |frame| self.home(memory, pagemap, frame))? {
            let bytes = frames << self.map.page_shift;
            match home {
                Some(node) => drop(backing.ram.insert(node, bytes)),
                None => backing.device = bytes,
            }
        }
        let count = tables.estimate(sampled, |_| anyhow::Ok(()))?;
        backing.tables = count.values().sum::<u64>() << self.map.page_shift;
        Ok(backing)
    }

    /// Adds the frames behind a part of a piece to a list; the frame of the table that maps them one by one, if any.
    fn look(
        &self,
        memory: &mut impl Memory,
        part: Span,
        frames: &mut Vec<u64>,
    ) -> Result<Option<u64>> {
        let mut all = [None; paging::PAGES];
        let table = self.tables.piece(memory, part.from, &mut all)?;
        let entry = |address: u64| {
            let inside = (address & (self.piece() - 1)) >> self.map.page_shift;
            usize::try_from(inside).unwrap_or_default()
        };
        for frame in &all[entry(part.from)..=entry(part.to - 1)] {
            match frame {
                Some(frame) => frames.push(*frame),
                None => {
                    bail!("not all of its struct pages are mapped: it is coming up or going away")
                }
            }
        }
        Ok(table)
    }

    /// The node of a frame; `None` if it belongs to the device.
    fn home(&self, memory: &mut impl Memory, pagemap: &Pagemap, frame: u64) -> Result<Option<u32>> {
        let address = frame << self.map.page_shift;
        let own = |range: &super::Range| (range.start..=range.end).contains(&address);
        if pagemap.ranges.iter().any(own) {
            return Ok(None);
        }
        match (self.nodes.of_frame(frame), self.node_shift) {
            (Home::Node(node), _) => Ok(Some(node)),
            (_, Some(shift)) => {
                let flags = memory.u64(self.map.page(frame)?.wrapping_add(self.flags))?;
                let node = flags.checked_shr(shift).unwrap_or_default();
                Ok(Some(u32::try_from(node)?))
            }
            (_, None) => bail!("the NUMA node of a page frame cannot be told"),
        }
    }

    /// Bytes of a piece of the memory map.
    fn piece(&self) -> u64 {
        (paging::PAGES as u64) << self.map.page_shift
    }
}

/// The n-th part of several spans.
fn nth(spans: &[Span], size: u64, mut n: u64) -> Option<Span> {
    for span in spans {
        let count = span.count(size);
        if n < count {
            return span.nth(size, n);
        }
        n -= count;
    }
    None
}
