//! From a `struct page` to the geometry of the pagemap that it belongs to.

use daxscope_common::{
    geometry::{SYSTEM, UNKNOWN},
    layout::ABSENT,
    lost,
};

use crate::{field::read, geometry, layout::layout};

/// The geometry slot of a page, given as the address of its `struct page`.
///
/// A page of no pagemap costs one read: the zone number stands in the flags of heads and tails alike.
///
/// A global function, which the verifier checks once, instead of at every call and in every turn of a loop.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn page_geometry(page: u64) -> u32 {
    let zone_shift = layout!(zone_shift);
    if zone_shift == ABSENT {
        return UNKNOWN;
    }
    let Some(flags) = read::<u64>(page + u64::from(layout!(page_flags))) else {
        return unreadable();
    };
    if (flags >> (zone_shift & 63)) as u32 & layout!(zone_mask) != layout!(zone_device) {
        return SYSTEM;
    }
    match pgmap(page) {
        Some(pgmap) => of_pgmap(pgmap),
        None => unreadable(),
    }
}

/// The geometry slot of a `struct dev_pagemap`.
#[inline(always)]
pub fn of_pgmap(pgmap: u64) -> u32 {
    let offset = layout!(pgmap_shift);
    if offset == ABSENT {
        // A kernel whose pagemaps have no such field has only one geometry; one that says nothing of them, any.
        return if layout!(pgmap_type) == ABSENT {
            UNKNOWN
        } else {
            geometry::slot(0)
        };
    }
    match read::<u64>(pgmap + u64::from(offset)) {
        Some(shift) => geometry::slot(shift),
        None => unreadable(),
    }
}

/// The pagemap of a page of `ZONE_DEVICE`: a word of the head page. In a tail the same word says where the
/// head is, with bit 0 set: as a pointer, or since 7.1 as a mask (`compound_info`, include/linux/page-flags.h)
/// whose 24 highest bits are all set, which no `struct page` pointer has.
#[inline(always)]
fn pgmap(page: u64) -> Option<u64> {
    let offset = u64::from(layout!(page_word));
    let word = read::<u64>(page + offset)?;
    if word & 1 == 0 {
        return Some(word);
    }
    let head = if word >> 40 == 0xff_ffff {
        page & word
    } else {
        word - 1
    };
    read::<u64>(head + offset)
}

#[inline(always)]
fn unreadable() -> u32 {
    crate::lost::count(lost::UNREADABLE);
    UNKNOWN
}
