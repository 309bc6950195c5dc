//! Every probe point has a number: its index into [`crate::layout::Layout::args`], and its identity
//! in a [`crate::span::Span`]. A point is what is measured; which kernel symbol stands for it is the
//! agent's choice at start.

// Room gup: the entry points come first, because their number also indexes the gup map.
pub const PIN_USER_PAGES_FAST: u32 = 0;
pub const PIN_USER_PAGES_FAST_ONLY: u32 = 1;
pub const PIN_USER_PAGES: u32 = 2;
pub const PIN_USER_PAGES_REMOTE: u32 = 3;
pub const PIN_USER_PAGES_UNLOCKED: u32 = 4;
pub const PIN_USER_PAGES_LOCKED: u32 = 5;
pub const MEMFD_PIN_FOLIOS: u32 = 6;
pub const GET_USER_PAGES_FAST: u32 = 7;
pub const GET_USER_PAGES_FAST_ONLY: u32 = 8;
pub const GET_USER_PAGES: u32 = 9;
pub const GET_USER_PAGES_REMOTE: u32 = 10;
pub const GET_USER_PAGES_UNLOCKED: u32 = 11;
pub const GET_USER_PAGES_LOCKED: u32 = 12;
/// How many of the points are ways into GUP.
pub const GUP_ENTRIES: usize = 13;

pub const GUP_PUT: u32 = 13;
pub const UNPIN_USER_PAGE: u32 = 14;
pub const UNPIN_USER_PAGES: u32 = 15;
pub const UNPIN_USER_PAGES_DIRTY_LOCK: u32 = 16;
pub const UNPIN_USER_PAGE_RANGE_DIRTY_LOCK: u32 = 17;
pub const UNPIN_USER_FOLIO: u32 = 18;
pub const UNPIN_FOLIO: u32 = 19;
pub const UNPIN_FOLIOS: u32 = 20;

// Room memremap.
pub const MEMREMAP_PAGES: u32 = 21;
pub const MEMUNMAP_PAGES: u32 = 22;
pub const MEMMAP_INIT_ZONE_DEVICE: u32 = 23;

// Room vmemmap.
pub const POPULATE_SECTION_MEMMAP: u32 = 24;
pub const VMEMMAP_POPULATE: u32 = 25;
pub const ADD_PAGES: u32 = 26;

/// How many points there are.
pub const POINTS: usize = 27;
