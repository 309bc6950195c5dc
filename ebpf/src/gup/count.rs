//! Counts requests, what they returned and what is given back: by entry point, geometry and pagemap.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    macros::map,
    maps::{PerCpuArray, PerCpuHashMap},
};
use daxscope_common::{
    ERRNOS,
    geometry::{SLOTS, SYSTEM},
    gup::{Gup, GupErrors, PINNED_PAGEMAPS, Pinned},
    lost,
    point::GUP_ENTRIES,
};

use super::{
    flight::{self, REQUEST},
    pins,
    runs::{DEVICE, GEOMETRY, MIXED, SAMPLED, UNPROVEN, count_parts, look, page_at},
};
use crate::{
    hist::{add, record},
    layout::layout,
    page::{NO_PAGEMAP, is_pagemap, pagemap_geometry, pagemap_of_page},
    session,
    span::UNSEEN,
};

#[map]
static GUP: PerCpuArray<Gup> = PerCpuArray::with_max_entries((GUP_ENTRIES * SLOTS) as u32, 0);
#[map]
static GUP_ERRORS: PerCpuArray<GupErrors> = PerCpuArray::with_max_entries(GUP_ENTRIES as u32, 0);
/// Pages unpinned, by geometry.
#[map]
static GUP_UNPINNED: PerCpuArray<u64> = PerCpuArray::with_max_entries(SLOTS as u32, 0);
/// By the address of the `struct dev_pagemap`, which stays in the kernel's and our own memory.
#[map]
pub static GUP_PAGEMAPS: PerCpuHashMap<u64, Pinned> =
    PerCpuHashMap::with_max_entries(PINNED_PAGEMAPS, 0);

/// Counts a request and what it returned: `n` pages, at least one, of which `whole` may know from the first that all are of one
/// pagemap. Returns [`DEVICE`] if there was device memory among them.
#[inline(always)]
pub fn count_pages(
    pages: u64,
    n: u64,
    point: u32,
    longterm: bool,
    ns: u64,
    whole: impl Fn(u64, u64) -> bool,
) -> u32 {
    // A page of the system costs two reads and no call.
    let first = page_at(pages, 0);
    let pgmap = if n == 1 || whole(n, first) {
        pagemap_of_page(first)
    } else {
        look(pages, n)
    };
    if pgmap & (UNPROVEN | MIXED) != 0 {
        let what = if longterm { point | LONGTERM } else { point };
        let found = count_parts(pages, n, what, 0);
        if found & SAMPLED != 0
            && let Some(stats) = stats(point, found & GEOMETRY)
        {
            // SAFETY: a value of a per-CPU array.
            unsafe { add(&raw mut (*stats).sampled_calls, 1) };
        }
        return count_call(point, found & GEOMETRY, longterm, ns) | found & DEVICE;
    }
    let geometry = if pgmap == NO_PAGEMAP {
        SYSTEM
    } else {
        pagemap_geometry(pgmap)
    };
    if let Some(stats) = stats(point, geometry) {
        // SAFETY: a value of a per-CPU array.
        unsafe {
            add(&raw mut (*stats).pages, n);
            if longterm {
                add(&raw mut (*stats).longterm_pages, n);
            }
            add_call(stats, longterm, ns);
        }
    }
    if !is_pagemap(pgmap) {
        return 0;
    }
    if pins(point) {
        count_acquired(pgmap, n);
    }
    DEVICE
}

/// Counts a request by itself.
#[inline(always)]
pub fn count_call(point: u32, geometry: u32, longterm: bool, ns: u64) -> u32 {
    if let Some(stats) = stats(point, geometry) {
        // SAFETY: a value of a per-CPU array.
        unsafe { add_call(stats, longterm, ns) };
    }
    0
}

/// # Safety
/// A value of the map.
#[inline(always)]
unsafe fn add_call(stats: *mut Gup, longterm: bool, ns: u64) {
    let timed = layout!(latency) != 0 && ns != UNSEEN;
    // SAFETY: the caller vouches for it.
    unsafe {
        add(&raw mut (*stats).calls, 1);
        if longterm {
            add(&raw mut (*stats).longterm_calls, 1);
        }
        if timed {
            record(&raw mut (*stats).duration, ns);
        }
    }
}

#[inline(always)]
fn stats(point: u32, geometry: u32) -> Option<*mut Gup> {
    GUP.get_ptr_mut(point * SLOTS as u32 + geometry)
}

#[inline(always)]
pub fn count_error(point: u32, errno: u64) {
    if let Some(errors) = GUP_ERRORS.get_ptr_mut(point)
        && (errno as usize) < ERRNOS
    {
        // SAFETY: only an address is taken.
        let by_errno = unsafe { &raw mut (*errors).by_errno }.cast::<u64>();
        // SAFETY: a value of a per-CPU array, and in bounds.
        unsafe { add(by_errno.add(errno as usize), 1) };
    }
}

/// What [`count_run`] counts: a request, by the number of its point, with `FOLL_LONGTERM` or not; or a release.
const LONGTERM: u32 = 1 << 31;
pub const RELEASED: u32 = LONGTERM - 1;

/// Counts pages of one pagemap, and returns their geometry slot, with [`DEVICE`] if they are device memory. `frame` is where
/// the call's stack frame lies ([`crate::call::Call::frame`]); only a release and a session need it. A global function, as in
/// `runs.rs`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn count_run(pgmap: u64, n: u64, what: u32, frame: u32) -> u32 {
    let geometry = pagemap_geometry(pgmap);
    let found = if is_pagemap(pgmap) {
        geometry | DEVICE
    } else {
        geometry
    };
    if session::on() {
        let lane = if what == RELEASED {
            session::RELEASE
        } else {
            session::REQUEST
        };
        session::session_part(session::place(lane, frame), pgmap, n);
        return found;
    }
    if what == RELEASED {
        count_released(geometry, n);
        // What the kernel undoes inside a request was never returned, so not acquired.
        if is_pagemap(pgmap)
            && !flight::inside(REQUEST, frame)
            && let Some(pinned) = pinned(pgmap)
        {
            // SAFETY: a value of a per-CPU hash, whose entries are reused but never freed.
            unsafe { add(&raw mut (*pinned).released, n) };
        }
        return found;
    }
    let point = what & !LONGTERM;
    if let Some(stats) = stats(point, geometry) {
        // SAFETY: a value of a per-CPU array.
        unsafe {
            add(&raw mut (*stats).pages, n);
            if what != point {
                add(&raw mut (*stats).longterm_pages, n);
            }
        }
    }
    if pins(point) && is_pagemap(pgmap) {
        count_acquired(pgmap, n);
    }
    found
}

/// Counts pages unpinned.
#[inline(always)]
pub fn count_released(geometry: u32, n: u64) {
    if let Some(unpinned) = GUP_UNPINNED.get_ptr_mut(geometry) {
        // SAFETY: a value of a per-CPU array.
        unsafe { add(unpinned, n) };
    }
}

/// Counts pins of a pagemap. A global function, as above.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn count_acquired(pgmap: u64, n: u64) -> u32 {
    if let Some(pinned) = pinned(pgmap) {
        // SAFETY: a value of a per-CPU hash, whose entries are reused but never freed.
        unsafe { add(&raw mut (*pinned).acquired, n) };
    }
    0
}

static NONE: Pinned = Pinned {
    acquired: 0,
    released: 0,
};

/// The pins of a pagemap, which gets its entry when it is first met.
#[inline(always)]
fn pinned(pgmap: u64) -> Option<*mut Pinned> {
    if let Some(pinned) = GUP_PAGEMAPS.get_ptr_mut(pgmap) {
        return Some(pinned);
    }
    let inserted = GUP_PAGEMAPS.insert(pgmap, NONE, u64::from(BPF_NOEXIST));
    // Where another CPU was faster, this finds what that inserted.
    let pinned = GUP_PAGEMAPS.get_ptr_mut(pgmap);
    if let (None, Err(error)) = (pinned, inserted) {
        crate::lost::insert_failed(lost::GUP_PAGEMAPS, error);
        crate::lost::count(lost::PAGEMAP);
    }
    pinned
}
