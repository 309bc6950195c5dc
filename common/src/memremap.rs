//! Room memremap: pagemaps that come up, what is live now, and the initialisation of their struct pages.

use crate::{ERRNOS, hist::Hist, pod};

/// Pagemaps known at one time; a host has one for each namespace or device, so dozens.
pub const PAGEMAPS: u32 = 1024;
/// Ranges of one pagemap that are added up. A dax device has one for each extent that it was built from.
pub const RANGES: u32 = 64;
/// Ranges of one pagemap that are kept one by one.
pub const KEPT_RANGES: usize = 4;
/// Kinds of memory that are told apart: `enum memory_type` has values up to 5 (include/linux/memremap.h);
/// larger values are taken for 0, which is none.
pub const TYPES: usize = 8;
/// Stands for a `vmemmap_shift` that could not be read.
pub const NO_SHIFT: u32 = u32::MAX;

/// A live `struct dev_pagemap`, in a table by the physical address where its first range starts, which no other live
/// pagemap can share.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pagemap {
    /// Its address, which stays in the kernel's and our own memory; 0 where it is not known.
    pub pgmap: u64,
    /// When it came up, by `bpf_ktime_get_ns`; 0 if it was there before the agent.
    pub born: u64,
    /// Base pages in all its ranges, each of which has one struct page; 0 while the entry is being written.
    pub struct_pages: u64,
    /// Base pages of the device that were handed out for its own struct pages (`altmap.alloc`).
    pub altmap_pages: u64,
    /// First and last byte of each of the first ranges; physical addresses.
    pub kept: [[u64; 2]; KEPT_RANGES],
    /// How many ranges there are.
    pub ranges: u32,
    /// `vmemmap_shift`: the geometry is `PAGE_SIZE << shift`; [`NO_SHIFT`] where it is not known.
    pub shift: u32,
    /// Value of `enum memory_type`.
    pub kind: u32,
    /// 1 if its struct pages are on the device itself (`PGMAP_ALTMAP_VALID`).
    pub altmap: u32,
}
const _: () = assert!(size_of::<Pagemap>() == 48 + 16 * KEPT_RANGES);

impl Pagemap {
    /// An entry that is being written.
    pub const ZERO: Self = Self {
        pgmap: 0,
        born: 0,
        struct_pages: 0,
        altmap_pages: 0,
        kept: [[0; 2]; KEPT_RANGES],
        ranges: 0,
        shift: 0,
        kind: 0,
        altmap: 0,
    };
}

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

/// Calls of `memunmap_pages` for one geometry.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memunmap {
    pub duration: Hist,
}
const _: () = assert!(size_of::<Memunmap>() == size_of::<Hist>());
pod!(Pagemap, Memremap, MemmapInit, Memunmap);
