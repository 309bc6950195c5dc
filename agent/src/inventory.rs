//! Every live pagemap of the host, whoever brought it up and when: what it spans, how its struct pages are laid out,
//! and what memory really backs them. Plain values; [`crate::probes`] and the verbs show them.
//!
//! Found by a walk of the kernel's own list of pagemaps, or where that cannot be read, in sysfs. Read once, at start.

pub mod account;
mod backing;
pub mod cost;
mod fallback;
mod frames;
mod memmap;
pub mod names;
pub(crate) mod pagemaps;
mod pins;
mod print;
mod reader;
#[cfg(any(test, feature = "record"))]
mod record;
mod sample;
mod survey;
mod tables;
mod xarray;

use std::collections::BTreeMap;

pub(crate) use self::print::{InventoryArgs, print};
pub use self::{
    backing::Surveyor,
    survey::{Survey, take},
    tables::Tables,
};

/// What was found at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    pub source: Source,
    pub pagemaps: Vec<Pagemap>,
    /// Why an entry of the kernel's list was left out, once for each.
    pub skipped: Vec<String>,
}

/// Where an inventory comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The kernel's `pgmap_array` (mm/memremap.c), and the structures that it points to.
    PgmapArray,
    /// sysfs and `/proc/iomem`, with why not the kernel's list.
    Sysfs { reason: String },
}

/// A live `struct dev_pagemap` (include/linux/memremap.h).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pagemap {
    /// Its address in the kernel, 0 where the source does not tell it. A key for the maps; never shown.
    pub pgmap: u64,
    /// Its ranges, in its own order. Never empty.
    pub ranges: Vec<Range>,
    /// `MEMORY_DEVICE_FS_DAX` is `fs_dax`; `unknown` where it cannot be told. As in the label `type`.
    pub kind: String,
    /// The value behind `kind`: `enum memory_type`, 0 where unknown.
    pub kind_value: u32,
    /// `vmemmap_shift`: the geometry is `PAGE_SIZE << shift`. `Err` holds the reason where it cannot be told.
    pub shift: Result<u32, String>,
    /// Where the struct pages are taken from the device itself (`PGMAP_ALTMAP_VALID`, map=dev).
    pub altmap: Option<Altmap>,
    /// What backs the struct pages, measured in the kernel's page tables; `Err` holds the reason why not.
    pub backing: Result<Backing, String>,
    /// References by `FOLL_PIN` on its pages now, from the pages' own counts; `Err` holds the reason why not.
    pub pins: Result<Pins, String>,
}

/// Physical addresses in bytes; `end` is the last byte (`struct range`, include/linux/range.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    pub start: u64,
    pub end: u64,
}

impl Range {
    /// Length in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.end - self.start + 1
    }
}

/// `struct vmem_altmap` (include/linux/memremap.h); all in base pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Altmap {
    /// First page frame of the device that struct pages may be taken from.
    pub base_pfn: u64,
    /// Pages left alone at the start, and pages that may be handed out.
    pub reserve: u64,
    pub free: u64,
    /// Pages handed out; `None` where the source does not tell it, which has no `reserve` and `free` either.
    pub alloc: Option<u64>,
}

/// Memory that backs the struct pages of one pagemap, in bytes, as the kernel's page tables have it. A page that backs
/// several pieces of the memory map counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backing {
    /// In RAM, by NUMA node.
    pub ram: BTreeMap<u32, u64>,
    /// On the device itself.
    pub device: u64,
    /// Page tables of the last level that map struct pages one by one.
    pub tables: u64,
    /// Pieces of the memory map, and how many of them were looked at. A piece is what one entry of the page tables'
    /// second level maps; if not all were looked at, the figures above are scaled up from a sample.
    pub pieces: u64,
    pub looked: u64,
}

/// Pins on the pages of one pagemap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    pub pages: u64,
    /// Compound pages (or base pages, of a pagemap without) that can hold a count, and how many were looked at; if not
    /// all were, `pages` is a lower bound.
    pub units: u64,
    pub looked: u64,
}

impl Pagemap {
    /// Base pages in all ranges, each of which has one struct page.
    #[must_use]
    pub fn struct_pages(&self, page_shift: u32) -> u64 {
        let bytes: u64 = self.ranges.iter().map(Range::bytes).sum();
        bytes >> page_shift
    }
}

impl Backing {
    /// In RAM on all nodes, without page tables; bytes.
    #[must_use]
    pub fn ram_bytes(&self) -> u64 {
        self.ram.values().sum()
    }

    /// Whether every piece was looked at.
    #[must_use]
    pub const fn complete(&self) -> bool {
        self.looked == self.pieces
    }
}
