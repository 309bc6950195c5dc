//! Room memremap: pagemaps that come up, what is live now, and the initialisation of their struct pages.

use crate::{ERRNOS, hist::Hist, pod};

/// Pagemaps known at one time; a host has one for each namespace or device, so dozens.
pub const PAGEMAPS: u32 = 4096;
/// Ranges of one pagemap that are read. A dax device has one for each extent that it was built from.
pub const RANGES: u32 = 64;
/// Kinds of memory that are told apart: `enum memory_type` has values up to 5 (include/linux/memremap.h);
/// larger values are taken for 0, which is none.
pub const TYPES: usize = 8;

/// A live `struct dev_pagemap`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pagemap {
    /// Base pages in all its ranges, each of which has one struct page.
    pub struct_pages: u64,
    /// Slot of its geometry.
    pub geometry: u32,
    /// Value of `enum memory_type`.
    pub kind: u32,
}
const _: () = assert!(size_of::<Pagemap>() == 16);

/// Calls of `memremap_pages` for one geometry.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memremap {
    pub duration: Hist,
    /// By memory type and errno; errno 0 is success.
    pub calls: [[u64; ERRNOS]; TYPES],
}
const _: () = assert!(size_of::<Memremap>() == size_of::<Hist>() + 8 * ERRNOS * TYPES);

/// Calls of `memmap_init_zone_device` for one geometry.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemmapInit {
    /// Sum of the function's `nr_pages`.
    pub struct_pages: u64,
    pub duration: Hist,
}
const _: () = assert!(size_of::<MemmapInit>() == 8 + size_of::<Hist>());
pod!(Pagemap, Memremap, MemmapInit);
