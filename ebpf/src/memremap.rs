//! Room memremap. Traces: `memremap_pages`, `memunmap_pages`, `memmap_init_zone_device`.
//! Produces: the live pagemaps, calls and durations by geometry.

use aya_ebpf::{
    macros::map,
    maps::{HashMap, PerCpuArray},
};
use daxscope_common::{
    ERRNOS,
    geometry::{SLOTS, SYSTEM},
    layout::ABSENT,
    lost,
    memremap::{MemmapInit, Memremap, PAGEMAPS, Pagemap, RANGES, TYPES},
    point::MEMREMAP_PAGES,
    span::{REGION_IN_FLIGHT, Span},
};

use crate::{
    call::{Call, point},
    field::read,
    hist::{add, record},
    layout::layout,
    page,
    span::{self, Return, Spans, UNSEEN},
};

/// By the address of the `struct dev_pagemap`, which stays in the kernel's and our own memory.
#[map]
static MEMREMAP_PAGEMAPS: HashMap<u64, Pagemap> = HashMap::with_max_entries(PAGEMAPS, 0);
#[map]
static MEMREMAP: PerCpuArray<Memremap> = PerCpuArray::with_max_entries(SLOTS as u32, 0);
#[map]
static MEMMAP_INIT: PerCpuArray<MemmapInit> = PerCpuArray::with_max_entries(SLOTS as u32, 0);
/// Also of room vmemmap, whose calls are made from inside those of this room.
#[map]
pub static REGION_SPANS: Spans = HashMap::with_max_entries(REGION_IN_FLIGHT, 0);

point!(memremap_pages, MEMREMAP_PAGES, enter: enter_memremap, exit: exit_memremap);
point!(memunmap_pages, MEMUNMAP_PAGES, enter: enter_memunmap);
point!(memmap_init_zone_device, MEMMAP_INIT_ZONE_DEVICE, enter: enter_init, exit: exit_init);

/// The geometry slot of the pagemap that the current thread is bringing up; `SYSTEM` if it brings up none.
#[inline(always)]
pub fn geometry_in_flight(call: &impl Call) -> u32 {
    // SAFETY: an entry is written and removed by its own thread.
    match unsafe { REGION_SPANS.get(span::key(MEMREMAP_PAGES, call.frame())) } {
        Some(span) => span.geometry,
        None => SYSTEM,
    }
}

/// `void *memremap_pages(struct dev_pagemap *pgmap, int nid)`, mm/memremap.c.
#[inline(always)]
fn enter_memremap(call: &impl Call, point: u32) {
    let pgmap = call.arg(0).unwrap_or(0);
    span::enter(
        &REGION_SPANS,
        point,
        false,
        call,
        Span::new(point, pgmap, page::of_pgmap(pgmap)),
    );
}

#[inline(always)]
fn exit_memremap(call: &impl Call, point: u32) {
    let (pgmap, geometry, ns) = match span::exit(&REGION_SPANS, point, false, call, point) {
        Return::Of(span, ns) => (span.arg, span.geometry, ns),
        Return::Nested => return,
        Return::Unmatched => match call.arg(0) {
            Some(pgmap) => (pgmap, page::of_pgmap(pgmap), UNSEEN),
            None => return,
        },
    };
    let Some(ret) = call.ret(layout!(args[MEMREMAP_PAGES as usize])) else {
        return;
    };
    // An ERR_PTR is the negated errno (include/linux/err.h); everything else is the mapping's address.
    let errno = if ret > ERR_PTR {
        ret.wrapping_neg() as usize
    } else {
        0
    };
    let kind = kind(pgmap);
    if let Some(stats) = MEMREMAP.get_ptr_mut(geometry) {
        // Hidden from the compiler, which would check the parts of the sum; the verifier wants to see the sum checked.
        let index = core::hint::black_box(kind as usize * ERRNOS + errno.min(ERRNOS - 1));
        if index < TYPES * ERRNOS {
            // SAFETY: a value of a per-CPU array, and in bounds.
            unsafe { add((&raw mut (*stats).calls).cast::<u64>().add(index), 1) };
        }
        if ns != UNSEEN {
            // SAFETY: a value of a per-CPU array.
            unsafe { record(&raw mut (*stats).duration, ns) };
        }
    }
    if errno == 0 {
        remember(pgmap, geometry, kind);
    }
}

/// Results above this are errors (`IS_ERR_VALUE` with `MAX_ERRNO` 4095, include/linux/err.h).
const ERR_PTR: u64 = (-4096i64) as u64;

/// `enum memory_type` of a pagemap; 0 where it cannot be told.
#[inline(always)]
fn kind(pgmap: u64) -> u32 {
    let offset = layout!(pgmap_type);
    if offset == ABSENT {
        return 0;
    }
    match read::<u32>(pgmap + u64::from(offset)) {
        Some(kind) if (kind as usize) < TYPES => kind,
        _ => 0,
    }
}

/// Puts a pagemap that came up into the table of live ones, with the length of all its ranges.
#[inline(always)]
fn remember(pgmap: u64, geometry: u32, kind: u32) {
    let Some(struct_pages) = struct_pages(pgmap) else {
        return;
    };
    let pagemap = Pagemap {
        struct_pages,
        geometry,
        kind,
    };
    if MEMREMAP_PAGEMAPS.insert(pgmap, pagemap, 0).is_err() {
        crate::lost::count(lost::PAGEMAP);
    }
}

/// Base pages in all ranges of a pagemap: `nr_range` times `struct range { u64 start, end; }`, ends inclusive.
#[inline(always)]
fn struct_pages(pgmap: u64) -> Option<u64> {
    let (at_count, at_ranges) = (layout!(pgmap_nr_range), layout!(pgmap_ranges));
    if at_count == ABSENT || at_ranges == ABSENT {
        crate::lost::count(lost::UNREADABLE);
        return None;
    }
    let Some(count) = read::<u32>(pgmap + u64::from(at_count)) else {
        crate::lost::count(lost::UNREADABLE);
        return None;
    };
    if count > RANGES {
        crate::lost::count(lost::PAGEMAP_RANGES);
        return None;
    }
    let mut bytes = 0;
    for i in 0..RANGES {
        if i >= count {
            break;
        }
        let at = pgmap + u64::from(at_ranges) + 16 * u64::from(i);
        let Some([start, end]) = read::<[u64; 2]>(at) else {
            crate::lost::count(lost::UNREADABLE);
            return None;
        };
        bytes += end - start + 1;
    }
    Some(bytes >> (layout!(page_shift) & 63))
}

/// `void memunmap_pages(struct dev_pagemap *pgmap)`, mm/memremap.c. Also called by `memremap_pages` itself when it
/// fails; then the table has nothing to remove.
#[inline(always)]
fn enter_memunmap(call: &impl Call, _point: u32) {
    if let Some(pgmap) = call.arg(0) {
        let _ = MEMREMAP_PAGEMAPS.remove(pgmap);
    }
}

/// `void memmap_init_zone_device(struct zone *zone, unsigned long start_pfn, unsigned long nr_pages,
/// struct dev_pagemap *pgmap)`, `mm/mm_init.c` (`mm/page_alloc.c` before 6.6).
#[inline(always)]
fn enter_init(call: &impl Call, point: u32) {
    let (Some(start), Some(count), Some(pgmap)) = (call.arg(1), call.arg(2), call.arg(3)) else {
        return;
    };
    span::enter(
        &REGION_SPANS,
        point,
        false,
        call,
        Span::new(
            point,
            initialised(start, count, pgmap),
            page::of_pgmap(pgmap),
        ),
    );
}

/// `PGMAP_ALTMAP_VALID`, include/linux/memremap.h, the same in 5.10 to 7.3.
const ALTMAP_VALID: u8 = 1;

/// How many struct pages a call initialises, as its own message counts them: all of the range, but for those that
/// stand for the part of the device that holds the struct pages (`vmem_altmap_offset`, mm/memremap.c).
#[inline(always)]
fn initialised(start: u64, count: u64, pgmap: u64) -> u64 {
    let field = |offset: u32| read::<u64>(pgmap + u64::from(offset)).unwrap_or(0);
    let at_flags = layout!(pgmap_flags);
    let flags = if at_flags == ABSENT {
        0
    } else {
        read::<u8>(pgmap + u64::from(at_flags)).unwrap_or(0)
    };
    if flags & ALTMAP_VALID == 0 {
        return count;
    }
    let first = field(layout!(altmap_base_pfn))
        + field(layout!(altmap_reserve))
        + field(layout!(altmap_free));
    (start + count).saturating_sub(first)
}

#[inline(always)]
fn exit_init(call: &impl Call, point: u32) {
    let Return::Of(span, ns) = span::exit(&REGION_SPANS, point, false, call, point) else {
        return;
    };
    if let Some(stats) = MEMMAP_INIT.get_ptr_mut(span.geometry) {
        // SAFETY: a value of a per-CPU array.
        unsafe {
            add(&raw mut (*stats).struct_pages, span.arg);
            record(&raw mut (*stats).duration, ns);
        }
    }
}
