//! What the kernel side must know about the running kernel: offsets and values, found by the agent
//! in the kernel's BTF and handed down once, as a global, before the object is loaded.

use crate::{pod, point::POINTS};

/// Stands for a field that the running kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// In a program in place of a call of the kernel function `bpf_rdonly_cast` (6.2), whose number in the kernel's BTF the agent
/// puts here; a helper of that number does not exist.
pub const CAST: u32 = 0x7da3_0001;
/// In a program in place of the number of `struct page` in the kernel's BTF.
pub const CAST_TYPE: u32 = 0x7da3_0002;

/// Offsets in bytes, unless said otherwise.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `struct page.flags`.
    pub page_flags: u32,
    /// The word of `struct page` that is `compound_head` (5.4 to 6.19; 7.0 not read) or
    /// `compound_info` (7.1) in a tail page and the `pgmap` pointer in the head page of device memory.
    pub page_word: u32,
    /// `sizeof(struct page)` in bytes; 0 if it is not known.
    pub page_size: u32,
    /// `PAGE_SHIFT`, in bits.
    pub page_shift: u32,
    /// Where the zone number stands in `page.flags`, in bits; [`ABSENT`] if that cannot be told.
    pub zone_shift: u32,
    /// Mask of the zone number, after the shift.
    pub zone_mask: u32,
    /// The number of `ZONE_DEVICE`.
    pub zone_device: u32,
    /// Value of `FOLL_PIN`.
    pub foll_pin: u32,
    /// `struct dev_pagemap.vmemmap_shift`; [`ABSENT`] before 5.17 (`add ZONE_DEVICE support for compound pages`), when every pagemap had the geometry of a base page.
    pub pgmap_shift: u32,
    /// `struct dev_pagemap.type`; [`ABSENT`] if nothing is known of the struct.
    pub pgmap_type: u32,
    pub pgmap_nr_range: u32,
    pub pgmap_ranges: u32,
    /// `struct dev_pagemap.flags`, and of its `altmap` the members `base_pfn`, `reserve`, `free` and `alloc`.
    pub pgmap_flags: u32,
    pub altmap_base_pfn: u32,
    pub altmap_reserve: u32,
    pub altmap_free: u32,
    pub altmap_alloc: u32,
    /// Value of `FOLL_LONGTERM`.
    pub foll_longterm: u32,
    /// Number of the bit of `page.flags` that marks the head of a compound page (`PG_head`); [`ABSENT`] if it is not known.
    pub page_head: u32,
    /// `struct task_struct.mm` and `struct mm_struct.pgd`.
    pub task_mm: u32,
    pub mm_pgd: u32,
    /// Flags one of which is set where `get_user_pages_unlocked` is called by another entry point (`mm/gup.c`); 0 if it never is.
    pub foll_inner: u32,
    /// 1 if the kernel has the helper `bpf_get_func_arg`.
    pub func_arg: u32,
    /// 1 if [`CAST`] and [`CAST_TYPE`] were replaced in the programs.
    pub cast: u32,
    /// 1 if all functions that give pins back go through the point `GUP_PUT`.
    pub funnel: u32,
    /// Not of the kernel: 1 if it is to be noted who holds pins.
    pub track_holders: u32,
    /// Not of the kernel: 1 if requests for user pages are timed.
    pub latency: u32,
    /// Number of parameters of the function that stands for each point: a fexit program finds the
    /// return value behind them. Of odd length, so that the whole is a multiple of 8 bytes.
    pub args: [u32; POINTS | 1],
}
const _: () = assert!(size_of::<Layout>() == 4 * (27 + (POINTS | 1)));
pod!(Layout);

impl Layout {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        page_flags: ABSENT,
        page_word: ABSENT,
        page_size: 0,
        page_shift: 0,
        zone_shift: ABSENT,
        zone_mask: 0,
        zone_device: 0,
        foll_pin: 0,
        pgmap_shift: ABSENT,
        pgmap_type: ABSENT,
        pgmap_nr_range: ABSENT,
        pgmap_ranges: ABSENT,
        pgmap_flags: ABSENT,
        altmap_base_pfn: ABSENT,
        altmap_reserve: ABSENT,
        altmap_free: ABSENT,
        altmap_alloc: ABSENT,
        foll_longterm: 0,
        page_head: ABSENT,
        task_mm: ABSENT,
        mm_pgd: ABSENT,
        foll_inner: 0,
        func_arg: 0,
        cast: 0,
        funnel: 0,
        track_holders: 0,
        latency: 1,
        args: [0; POINTS | 1],
    };
}
