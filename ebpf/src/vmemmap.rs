//! Room vmemmap. Traces: `__populate_section_memmap`, `vmemmap_populate`, `__add_pages`.
//! Produces: durations and struct pages by point and geometry. The points are not the same quantity, and
//! each contains the one before it.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use daxscope_common::{
    geometry::SLOTS,
    point::POPULATE_SECTION_MEMMAP,
    span::Span,
    vmemmap::{FIRST, POINTS, Populate},
};

use crate::{
    call::{Call, point},
    hist::{add, record},
    layout::layout,
    memremap::{REGION_SPANS, in_flight, returned},
    session,
    span::{self, Return},
};

#[map]
static VMEMMAP: PerCpuArray<Populate> = PerCpuArray::with_max_entries((POINTS * SLOTS) as u32, 0);

point!(populate_section_memmap, POPULATE_SECTION_MEMMAP, enter: enter_second, exit: exit_pointer);
point!(vmemmap_populate, VMEMMAP_POPULATE, enter: enter_addresses, exit: exit_int);
point!(add_pages, ADD_PAGES, enter: enter_third, exit: exit_int);

/// `struct page *__populate_section_memmap(unsigned long pfn, unsigned long nr_pages, …)`, mm/sparse-vmemmap.c.
#[inline(always)]
fn enter_second(call: &impl Call, point: u32) {
    enter(call, point, call.arg(1).unwrap_or(0));
}

/// `int __add_pages(int nid, unsigned long pfn, unsigned long nr_pages, …)`, `mm/memory_hotplug.c`.
#[inline(always)]
fn enter_third(call: &impl Call, point: u32) {
    enter(call, point, call.arg(2).unwrap_or(0));
}

/// `int vmemmap_populate(unsigned long start, unsigned long end, …)`, arch/*/mm: addresses of struct pages.
#[inline(always)]
fn enter_addresses(call: &impl Call, point: u32) {
    let (start, end) = (call.arg(0).unwrap_or(0), call.arg(1).unwrap_or(0));
    let bytes = end.saturating_sub(start);
    let struct_pages = match u64::from(layout!(page_size)) {
        0 => 0,
        size => bytes / size,
    };
    enter(call, point, struct_pages);
}

#[inline(always)]
fn enter(call: &impl Call, point: u32, struct_pages: u64) {
    let (pgmap, geometry) = in_flight(call);
    if session::on() {
        session::enter(call, point, pgmap, geometry, struct_pages);
    }
    span::enter(
        &REGION_SPANS,
        point,
        false,
        call.frame(),
        Span::new(point, struct_pages, geometry),
    );
}

/// `errno-base.h`. Of NULL nothing else can be said.
const ENOMEM: i64 = 12;

/// Fails with NULL.
#[inline(always)]
fn exit_pointer(call: &impl Call, point: u32) {
    exit(call, point, |ret| ret != 0);
}

/// Fails with a negative errno.
#[inline(always)]
fn exit_int(call: &impl Call, point: u32) {
    exit(call, point, |ret| !(ret as i32).is_negative());
}

#[inline(always)]
fn exit(call: &impl Call, point: u32, succeeded: impl Fn(u64) -> bool) {
    let Return::Of(span, ns) = returned(call, point) else {
        return;
    };
    if session::on() {
        let result = call.ret(layout!(args[point as usize])).unwrap_or(0);
        let result = if succeeded(result) {
            span.arg as i64
        } else if point == POPULATE_SECTION_MEMMAP {
            -ENOMEM
        } else {
            i64::from(result as i32)
        };
        return session::leave(call, point, result, ns);
    }
    let Some(stats) = VMEMMAP.get_ptr_mut((point - FIRST) * SLOTS as u32 + span.geometry) else {
        return;
    };
    // SAFETY: a value of a per-CPU array.
    unsafe { record(&raw mut (*stats).duration, ns) };
    if call
        .ret(layout!(args[point as usize]))
        .is_some_and(succeeded)
    {
        // SAFETY: as above.
        unsafe { add(&raw mut (*stats).struct_pages, span.arg) };
    }
}
