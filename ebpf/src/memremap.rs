//! Room memremap. Traces: `memremap_pages`, `memunmap_pages`, `memmap_init_zone_device`.
//! Produces: the live pagemaps, calls and durations by geometry.

use aya_ebpf::{
    helpers::bpf_ktime_get_ns,
    macros::map,
    maps::{HashMap, PerCpuArray},
};
use daxscope_common::{
    ERRNOS,
    geometry::{SLOTS, SYSTEM},
    layout::ABSENT,
    lost,
    memremap::{
        KEPT_RANGES, MemmapInit, Memremap, Memunmap, NO_SHIFT, PAGEMAPS, Pagemap, RANGES, TYPES,
    },
    point::MEMREMAP_PAGES,
    span::{REGION_IN_FLIGHT, Span},
};

use crate::{
    call::{Call, point},
    field::read,
    gup::count::GUP_PAGEMAPS,
    hist::{add, record},
    layout::layout,
    page::{self, NO_PAGEMAP},
    session,
    span::{self, Return, Spans, UNSEEN},
};

/// What is live, by the physical address where it starts.
#[map]
pub static MEMREMAP_PAGEMAPS: HashMap<u64, Pagemap> = HashMap::with_max_entries(PAGEMAPS, 0);
#[map]
static MEMREMAP: PerCpuArray<Memremap> = PerCpuArray::with_max_entries(SLOTS as u32, 0);
#[map]
static MEMUNMAP: PerCpuArray<Memunmap> = PerCpuArray::with_max_entries(SLOTS as u32, 0);
#[map]
static MEMMAP_INIT: PerCpuArray<MemmapInit> = PerCpuArray::with_max_entries(SLOTS as u32, 0);
/// Also of room vmemmap, whose calls are made from inside those of this room.
#[map]
pub static REGION_SPANS: Spans<{ lost::REGION_SPANS }> = Spans::new(REGION_IN_FLIGHT);

point!(memremap_pages, MEMREMAP_PAGES, enter: enter_memremap, exit: exit_memremap);
point!(memunmap_pages, MEMUNMAP_PAGES, enter: enter_memunmap, exit: exit_memunmap);
point!(memmap_init_zone_device, MEMMAP_INIT_ZONE_DEVICE, enter: enter_init, exit: exit_init);

/// The pagemap that the current thread is bringing up, and the slot of its geometry; [`NO_PAGEMAP`] and `SYSTEM` if it brings
/// up none.
#[inline(always)]
pub fn in_flight(call: &impl Call) -> (u64, u32) {
    match REGION_SPANS.get(span::key(MEMREMAP_PAGES, call.frame())) {
        Some(span) => (span.arg, span.geometry),
        None => (NO_PAGEMAP, SYSTEM),
    }
}

/// Ends a call of one of these rooms, in which no point calls itself or is called by another on purpose.
#[inline(always)]
pub fn returned(call: &impl Call, point: u32) -> Return {
    span::exit(
        &REGION_SPANS,
        point,
        false,
        call.frame(),
        point,
        span::now(),
    )
}

/// `void *memremap_pages(struct dev_pagemap *pgmap, int nid)`, mm/memremap.c.
#[inline(always)]
fn enter_memremap(call: &impl Call, point: u32) {
    let pgmap = call.arg(0).unwrap_or(0);
    entered(call, point, pgmap);
    span::enter(
        &REGION_SPANS,
        point,
        false,
        call.frame(),
        Span::new(point, pgmap, page::of_pgmap(pgmap)),
    );
}

/// Opens a call for a session, if there is one.
#[inline(always)]
fn entered(call: &impl Call, point: u32, pgmap: u64) {
    if session::on() {
        let geometry = page::of_pgmap(pgmap);
        session::enter(call, point, pgmap, geometry, struct_pages(pgmap));
    }
}

#[inline(always)]
fn exit_memremap(call: &impl Call, point: u32) {
    let (pgmap, geometry, ns) = match returned(call, point) {
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
    if session::on() {
        let pages = if errno == 0 {
            struct_pages(pgmap) as i64
        } else {
            -(errno as i64)
        };
        return session::leave(call, point, pages, ns);
    }
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
        remember(pgmap, kind);
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

/// How many struct pages a pagemap has; 0 if that cannot be read.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn struct_pages(pgmap: u64) -> u64 {
    let count = field::<u32>(pgmap, layout!(pgmap_nr_range)).unwrap_or(0);
    let mut bytes = 0;
    for i in 0..RANGES {
        if i >= count {
            break;
        }
        if let Some(range) = range(pgmap, i) {
            bytes += range[1] - range[0] + 1;
        }
    }
    bytes >> (layout!(page_shift) & 63)
}

/// Puts a pagemap that came up into the table of live ones. Written in place, its length last: a value of this size does
/// not fit the stack.
#[inline(always)]
fn remember(pgmap: u64, kind: u32) {
    let Some(start) = start(pgmap) else {
        return crate::lost::count(lost::UNREADABLE);
    };
    if let Err(error) = MEMREMAP_PAGEMAPS.insert(start, ZERO, 0) {
        crate::lost::insert_failed(lost::MEMREMAP_PAGEMAPS, error);
        return crate::lost::count(lost::PAGEMAP);
    }
    if describe(start, pgmap, kind) != 0 {
        let _ = MEMREMAP_PAGEMAPS.remove(start);
    }
}

static ZERO: Pagemap = Pagemap::ZERO;

/// Fills the entry of a pagemap; returns 0, or 1 if that cannot be done. A global function, which the verifier checks
/// once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn describe(start: u64, pgmap: u64, kind: u32) -> u32 {
    let Some(entry) = MEMREMAP_PAGEMAPS.get_ptr_mut(start) else {
        return 0;
    };
    let Some(count) = field::<u32>(pgmap, layout!(pgmap_nr_range)) else {
        crate::lost::count(lost::UNREADABLE);
        return 1;
    };
    if count > RANGES {
        crate::lost::count(lost::PAGEMAP_RANGES);
        return 1;
    }
    let mut bytes = 0;
    for i in 0..RANGES {
        if i >= count {
            break;
        }
        let Some(range) = range(pgmap, i) else {
            crate::lost::count(lost::UNREADABLE);
            return 1;
        };
        if (i as usize) < KEPT_RANGES {
            // SAFETY: in bounds of a map value.
            unsafe {
                (&raw mut (*entry).kept)
                    .cast::<[u64; 2]>()
                    .add(i as usize)
                    .write(range);
            };
        }
        bytes += range[1] - range[0] + 1;
    }
    let has_altmap = altmap(pgmap);
    let altmap_pages = if has_altmap {
        field(pgmap, layout!(altmap_alloc)).unwrap_or(0)
    } else {
        0
    };
    let shift = shift(pgmap);
    let struct_pages = bytes >> (layout!(page_shift) & 63);
    // SAFETY: a map value. Nobody else writes it: a pagemap comes up once.
    unsafe {
        (*entry).pgmap = pgmap;
        (*entry).born = bpf_ktime_get_ns();
        (*entry).ranges = count;
        (*entry).shift = shift;
        (*entry).kind = kind;
        (*entry).altmap = u32::from(has_altmap);
        (*entry).altmap_pages = altmap_pages;
        (*entry).struct_pages = struct_pages;
    }
    0
}

/// A member of a pagemap; `None` if the kernel has no such member, or it cannot be read.
#[inline(always)]
fn field<T>(pgmap: u64, offset: u32) -> Option<T> {
    if offset == ABSENT {
        return None;
    }
    read(pgmap + u64::from(offset))
}

/// A range of a pagemap: `struct range { u64 start, end; }`, the end inclusive.
#[inline(always)]
fn range(pgmap: u64, index: u32) -> Option<[u64; 2]> {
    field(pgmap + 16 * u64::from(index), layout!(pgmap_ranges))
}

/// Where the first range of a pagemap starts.
#[inline(always)]
pub fn start(pgmap: u64) -> Option<u64> {
    field(pgmap, layout!(pgmap_ranges))
}

/// `vmemmap_shift` of a pagemap. A kernel without that member gives all of them the geometry of base pages.
#[inline(always)]
fn shift(pgmap: u64) -> u32 {
    if layout!(pgmap_shift) == ABSENT {
        return 0;
    }
    match field::<u64>(pgmap, layout!(pgmap_shift)) {
        Some(shift) if shift < u64::from(NO_SHIFT) => shift as u32,
        _ => NO_SHIFT,
    }
}

/// `void memunmap_pages(struct dev_pagemap *pgmap)`, mm/memremap.c. It waits for the last reference on the pages, for as
/// long as that takes.
#[inline(always)]
fn enter_memunmap(call: &impl Call, point: u32) {
    let Some(pgmap) = call.arg(0) else {
        return;
    };
    let mut start = start(pgmap).unwrap_or(0);
    entered(call, point, pgmap);
    // `memremap_pages` calls it too when it fails, perhaps because another pagemap is where this one was to be.
    // SAFETY: an entry is not changed once it is written.
    if let Some(live) = unsafe { MEMREMAP_PAGEMAPS.get(start) }
        && !is_same(live, pgmap, call)
    {
        start = 0;
    }
    let span = Span::new(point, start, page::of_pgmap(pgmap));
    span::enter(&REGION_SPANS, point, false, call.frame(), span);
}

/// Whether an entry of the table is that of a pagemap. One that was read from sysfs does not say; then it is, unless the
/// thread is only about to bring it up.
#[inline(always)]
fn is_same(live: &Pagemap, pgmap: u64, call: &impl Call) -> bool {
    if live.pgmap != 0 {
        return live.pgmap == pgmap;
    }
    REGION_SPANS
        .get(span::key(MEMREMAP_PAGES, call.frame()))
        .is_none()
}

/// Until here the struct pages were there.
#[inline(always)]
fn exit_memunmap(call: &impl Call, point: u32) {
    let Return::Of(span, ns) = returned(call, point) else {
        return;
    };
    if session::on() {
        return session::leave(call, point, 0, ns);
    }
    // SAFETY: an entry is not changed once it is written.
    if let Some(pagemap) = unsafe { MEMREMAP_PAGEMAPS.get(span.arg) } {
        // Nothing of it is pinned any more, and another may be made at the same address.
        let _ = GUP_PAGEMAPS.remove(pagemap.pgmap);
    }
    let _ = MEMREMAP_PAGEMAPS.remove(span.arg);
    if let Some(stats) = MEMUNMAP.get_ptr_mut(span.geometry) {
        // SAFETY: a value of a per-CPU array.
        unsafe { record(&raw mut (*stats).duration, ns) };
    }
}

/// `void memmap_init_zone_device(struct zone *zone, unsigned long start_pfn, unsigned long nr_pages,
/// struct dev_pagemap *pgmap)`, `mm/mm_init.c` (`mm/page_alloc.c` before 6.6).
#[inline(always)]
fn enter_init(call: &impl Call, point: u32) {
    let (Some(start), Some(count), Some(pgmap)) = (call.arg(1), call.arg(2), call.arg(3)) else {
        return;
    };
    if session::on() {
        session::enter(call, point, pgmap, page::of_pgmap(pgmap), count);
    }
    span::enter(
        &REGION_SPANS,
        point,
        false,
        call.frame(),
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
    if !altmap(pgmap) {
        return count;
    }
    let pages = |offset: u32| field::<u64>(pgmap, offset).unwrap_or(0);
    let first = pages(layout!(altmap_base_pfn))
        + pages(layout!(altmap_reserve))
        + pages(layout!(altmap_free));
    (start + count).saturating_sub(first)
}

/// Whether the struct pages of a pagemap are on the device itself.
#[inline(always)]
fn altmap(pgmap: u64) -> bool {
    field::<u8>(pgmap, layout!(pgmap_flags)).is_some_and(|flags| flags & ALTMAP_VALID != 0)
}

#[inline(always)]
fn exit_init(call: &impl Call, point: u32) {
    let Return::Of(span, ns) = returned(call, point) else {
        return;
    };
    if session::on() {
        return session::leave(call, point, span.arg as i64, ns);
    }
    if let Some(stats) = MEMMAP_INIT.get_ptr_mut(span.geometry) {
        // SAFETY: a value of a per-CPU array.
        unsafe {
            add(&raw mut (*stats).struct_pages, span.arg);
            record(&raw mut (*stats).duration, ns);
        }
    }
}
