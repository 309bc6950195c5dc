//! From a `struct page` to the pagemap that it belongs to, and to its geometry.

use daxscope_common::{
    geometry::{SYSTEM, UNKNOWN},
    layout::ABSENT,
    lost,
};

use crate::{field::word, geometry, layout::layout};

/// In place of a pagemap's address: the page belongs to none.
pub const NO_PAGEMAP: u64 = 0;
/// In place of a pagemap's address: it cannot be told.
pub const UNKNOWN_PAGEMAP: u64 = 4;

/// Whether this is the address of a pagemap.
#[inline(always)]
pub fn is_pagemap(pgmap: u64) -> bool {
    pgmap > UNKNOWN_PAGEMAP
}

/// The pagemap of a page, given as the address of its `struct page`; or [`NO_PAGEMAP`], or [`UNKNOWN_PAGEMAP`].
///
/// A page of no pagemap costs one read: the zone number stands in the flags of heads and tails alike.
///
/// A global function, which the verifier checks once, instead of at every call and in every turn of a loop.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn page_pagemap(page: u64) -> u64 {
    pagemap_by(page, pagemap_of_device)
}

/// As [`page_pagemap`], in place as far as pages of the system go.
#[inline(always)]
pub fn pagemap_of_page(page: u64) -> u64 {
    pagemap_by(page, |page| device_pagemap(page))
}

#[inline(always)]
fn pagemap_by(page: u64, of_device: impl Fn(u64) -> u64) -> u64 {
    if layout!(zone_shift) == ABSENT {
        return UNKNOWN_PAGEMAP;
    }
    match word(page + u64::from(layout!(page_flags))) {
        None => unreadable(),
        Some(flags) if is_device(flags) => of_device(page),
        Some(_) => NO_PAGEMAP,
    }
}

/// Whether the flags of a page say that it is of `ZONE_DEVICE`; only where the zone can be told.
#[inline(always)]
pub fn is_device(flags: u64) -> bool {
    (flags >> (layout!(zone_shift) & 63)) as u32 & layout!(zone_mask) == layout!(zone_device)
}

/// The pagemap of a page of `ZONE_DEVICE`, or [`UNKNOWN_PAGEMAP`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn device_pagemap(page: u64) -> u64 {
    pagemap_of_device(page)
}

#[inline(always)]
fn pagemap_of_device(page: u64) -> u64 {
    match pagemap_word(page) {
        Some(pgmap) if is_pagemap(pgmap) => pgmap,
        _ => unreadable(),
    }
}

/// The geometry slot of a page.
#[inline(always)]
pub fn page_geometry(page: u64) -> u32 {
    pagemap_geometry(page_pagemap(page))
}

/// The geometry slot of what [`page_pagemap`] returned.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn pagemap_geometry(pgmap: u64) -> u32 {
    match pgmap {
        NO_PAGEMAP => SYSTEM,
        UNKNOWN_PAGEMAP => UNKNOWN,
        _ => of_pgmap(pgmap),
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
    if let Some(shift) = word(pgmap + u64::from(offset)) {
        return geometry::slot(shift);
    }
    unreadable();
    UNKNOWN
}

/// The pagemap of a page of `ZONE_DEVICE`: a word of the head page.
#[inline(always)]
fn pagemap_word(page: u64) -> Option<u64> {
    let offset = u64::from(layout!(page_word));
    let found = word(page + offset)?;
    if found & 1 == 0 {
        return Some(found);
    }
    word(head(page, found) + offset)
}

/// The head of a tail page, of which the word says where it is, with bit 0 set: as a pointer, or since 7.1 as a mask
/// (`compound_info`, include/linux/page-flags.h) whose 24 highest bits are all set, which no `struct page` pointer has.
#[inline(always)]
fn head(page: u64, word: u64) -> u64 {
    if word >> 40 == 0xff_ffff {
        page & word
    } else {
        word - 1
    }
}

/// The head of the compound page that a page is in; itself if it is in none, or that cannot be read.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn page_head(page: u64) -> u64 {
    match word(page + u64::from(layout!(page_word))) {
        Some(word) if word & 1 != 0 => head(page, word),
        _ => page,
    }
}

/// How many base pages a compound page of a pagemap has, by its geometry; 1 if that has none.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn pages_of_compound(pgmap: u64) -> u64 {
    let offset = layout!(pgmap_shift);
    if offset == ABSENT {
        return 1;
    }
    1 << (word(pgmap + u64::from(offset)).unwrap_or(0) & 63)
}

#[inline(always)]
fn unreadable() -> u64 {
    crate::lost::count(lost::UNREADABLE);
    UNKNOWN_PAGEMAP
}
