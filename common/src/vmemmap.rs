//! Room vmemmap: populating the virtual memory map that holds the struct pages.

use crate::{hist::Hist, pod, point};

/// Points of the room; its map is indexed by `(point - FIRST) * geometry::SLOTS + slot`.
pub const POINTS: usize = 3;
/// The room's first point.
pub const FIRST: u32 = point::POPULATE_SECTION_MEMMAP;

/// Calls of one point for one geometry.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Populate {
    /// Struct pages that successful calls were asked to provide memory for.
    pub struct_pages: u64,
    pub duration: Hist,
}
const _: () = assert!(size_of::<Populate>() == 8 + size_of::<Hist>());
pod!(Populate);
