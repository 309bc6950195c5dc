//! Where the struct page of each page frame is: one after the other in the virtual memory map.

use anyhow::{Context as _, Result, ensure};

use super::{Pagemap, Range};
use crate::kernel::{facts::Facts, memory::PAGE, paging::PageTables};

/// The virtual memory map of the kernel (`vmemmap`, `CONFIG_SPARSEMEM_VMEMMAP`, without which there is no
/// `ZONE_DEVICE`).
#[derive(Clone, Copy, Debug)]
pub struct MemoryMap {
    base: u64,
    /// `sizeof(struct page)`.
    pub page_size: u64,
    pub page_shift: u32,
}

/// Addresses of struct pages; `to` is the first behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: u64,
    pub to: u64,
}

impl MemoryMap {
    /// # Errors
    /// When the size of a struct page is not known.
    pub fn of(facts: &Facts, tables: &PageTables) -> Result<Self> {
        let size = facts.layout.page_size;
        ensure!(size > 0, "BTF has no struct page");
        let base = tables.vmemmap();
        ensure!(
            base.is_multiple_of(PAGE),
            "the memory map starts inside a page"
        );
        Ok(Self {
            base,
            page_size: size.into(),
            page_shift: facts.layout.page_shift,
        })
    }

    /// Address of the struct page of a frame.
    ///
    /// # Errors
    /// When there is no such frame.
    pub fn page(&self, frame: u64) -> Result<u64> {
        let offset = frame.checked_mul(self.page_size);
        let address = offset.and_then(|offset| self.base.checked_add(offset));
        address.context("a page frame is beyond the memory map")
    }

    /// The struct pages of each range of a pagemap.
    ///
    /// # Errors
    /// When a range is beyond the memory map.
    pub fn spans(&self, pagemap: &Pagemap) -> Result<Vec<Span>> {
        let span = |range: &Range| self.span(range.start >> self.page_shift, range.end);
        pagemap.ranges.iter().map(span).collect()
    }

    /// The struct pages that were ever initialised: not those of pages that hold struct pages themselves
    /// (`vmem_altmap_offset`, mm/memremap.c).
    ///
    /// # Errors
    /// When a range is beyond the memory map.
    pub fn initialised(&self, pagemap: &Pagemap) -> Result<Vec<Span>> {
        let first = pagemap.altmap.map_or(0, |altmap| {
            let held = altmap.reserve.saturating_add(altmap.free);
            altmap.base_pfn.saturating_add(held)
        });
        let spans = pagemap.ranges.iter().filter_map(|range| {
            let from = first.max(range.start >> self.page_shift);
            (from <= range.end >> self.page_shift).then(|| self.span(from, range.end))
        });
        spans.collect()
    }

    /// From a frame to the one that holds an address.
    fn span(&self, frame: u64, end: u64) -> Result<Span> {
        Ok(Span {
            from: self.page(frame)?,
            to: self.page((end >> self.page_shift) + 1)?,
        })
    }
}

impl Span {
    /// How many parts of a size, which is a power of two and to which they are aligned, it touches.
    #[must_use]
    pub fn count(self, size: u64) -> u64 {
        (self.to - 1) / size - self.from / size + 1
    }

    /// What lies in one of them.
    #[must_use]
    pub fn nth(self, size: u64, n: u64) -> Option<Self> {
        let start = (self.from / size).checked_add(n)?.checked_mul(size)?;
        let from = self.from.max(start);
        let to = self.to.min(start.saturating_add(size));
        (from < to).then_some(Self { from, to })
    }
}
