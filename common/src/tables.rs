//! The kernel's page tables of the memory map of one live pagemap, a piece at a time: what may be read of kernel memory
//! once the agent runs.

use crate::pod;

/// Entries of a page table, and base pages that its parent's entry maps.
pub const ENTRIES: usize = 512;

/// Where the kernel's page tables are. Kernel addresses, which stay in the kernel's and our own memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// The table of the highest level.
    pub root: u64,
    /// Where physical address 0 is mapped.
    pub page_offset: u64,
    /// The struct page of page frame 0.
    pub vmemmap: u64,
    /// Bits of an entry that hold a physical address.
    pub address: u64,
    /// How many levels there are; 0 where the tables cannot be read.
    pub levels: u32,
    pub pad: u32,
}
const _: () = assert!(size_of::<Paging>() == 40);

impl Paging {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        root: 0,
        page_offset: 0,
        vmemmap: 0,
        address: 0,
        levels: 0,
        pad: 0,
    };
}

/// What maps a piece of the memory map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The last level's table, where there is one.
    pub table: [u64; ENTRIES],
    /// The entry that was followed last: 0 if nothing is mapped, that of a block, or that of `table`.
    pub entry: u64,
    /// The level of that entry, of which the last is 0: an entry of level 1 leads to `table`, unless it is a block.
    pub level: u64,
}
const _: () = assert!(size_of::<Piece>() == 8 * ENTRIES + 16);
pod!(Paging, Piece);
