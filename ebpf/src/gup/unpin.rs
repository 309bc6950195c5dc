//! Pins that are given back.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use daxscope_common::{
    geometry::{SLOTS, UNKNOWN},
    point::{UNPIN_USER_PAGE, UNPIN_USER_PAGES},
    span::Span,
};

use super::{GUP_SPANS, RELEASE, count_pages, first_geometry};
use crate::{
    call::{Call, point},
    hist::add,
    layout::layout,
    page::page_geometry,
    span,
};

/// Pages unpinned, by geometry.
#[map]
static GUP_UNPINNED: PerCpuArray<u64> = PerCpuArray::with_max_entries(SLOTS as u32, 0);

point!(gup_put, GUP_PUT, enter: enter_put);

/// `void gup_put_folio(struct folio *folio, int refs, unsigned int flags)` since 5.19; before,
/// `put_compound_head(struct page *page, int refs, unsigned int flags)`; mm/gup.c.
#[inline(always)]
fn enter_put(call: &impl Call, _point: u32) {
    let (Some(folio), Some(refs), Some(flags)) = (call.arg(0), call.arg(1), call.arg(2)) else {
        return;
    };
    if flags as u32 & layout!(foll_pin) != 0 && !span::inside(&GUP_SPANS, RELEASE, call) {
        count_unpinned(page_geometry(folio), u64::from(refs as u32));
    }
}

#[inline(always)]
fn count_unpinned(geometry: u32, pages: u64) {
    if let Some(unpinned) = GUP_UNPINNED.get_ptr_mut(geometry) {
        // SAFETY: a value of a per-CPU array.
        unsafe { add(unpinned, pages) };
    }
}

// The exported functions that give pins back, which call each other. The compiler may have inlined the function above
// into any of them (as gcc did on 7.3), so these count what they give back, and that one only what is left: what the
// kernel undoes inside a request.
point!(unpin_user_page, UNPIN_USER_PAGE, enter: enter_unpin_one, exit: exit_unpin);
point!(unpin_user_pages, UNPIN_USER_PAGES, enter: enter_unpin_array, exit: exit_unpin);
point!(unpin_user_pages_dirty_lock, UNPIN_USER_PAGES_DIRTY_LOCK, enter: enter_unpin_array, exit: exit_unpin);
point!(unpin_user_page_range_dirty_lock, UNPIN_USER_PAGE_RANGE_DIRTY_LOCK, enter: enter_unpin_range, exit: exit_unpin);
point!(unpin_user_folio, UNPIN_USER_FOLIO, enter: enter_unpin_range, exit: exit_unpin);
point!(unpin_folio, UNPIN_FOLIO, enter: enter_unpin_one, exit: exit_unpin);
point!(unpin_folios, UNPIN_FOLIOS, enter: enter_unpin_array, exit: exit_unpin);

/// Remembers a release, and says whether it is one of its own: not made from inside another.
#[inline(always)]
fn outermost(call: &impl Call, point: u32) -> bool {
    let nestable = unpin_nestable(point);
    span::enter(
        &GUP_SPANS,
        RELEASE,
        nestable,
        call,
        Span::new(point, 0, UNKNOWN),
    )
}

/// The two that others call (mm/gup.c): `unpin_user_pages_dirty_lock` with nothing to make dirty calls
/// `unpin_user_pages`, and in 5.10 both call `unpin_user_page` for each page; in 5.15 and later they do not.
#[inline(always)]
fn unpin_nestable(point: u32) -> bool {
    point == UNPIN_USER_PAGE || point == UNPIN_USER_PAGES
}

/// `(struct page *page)`, `(struct folio *folio)`
#[inline(always)]
fn enter_unpin_one(call: &impl Call, point: u32) {
    if outermost(call, point)
        && let Some(page) = call.arg(0)
    {
        count_unpinned(page_geometry(page), 1);
    }
}

/// `(struct page *page, unsigned long npages, …)`, `(struct folio *folio, unsigned long npages)`
#[inline(always)]
fn enter_unpin_range(call: &impl Call, point: u32) {
    if outermost(call, point)
        && let (Some(page), Some(n)) = (call.arg(0), call.arg(1))
    {
        count_unpinned(page_geometry(page), n);
    }
}

/// `(struct page **pages, unsigned long npages, …)`, `(struct folio **folios, unsigned long nfolios)`
#[inline(always)]
fn enter_unpin_array(call: &impl Call, point: u32) {
    if outermost(call, point)
        && let (Some(pages), Some(n)) = (call.arg(0), call.arg(1))
        // "If this WARN_ON() hits, then the system *might* be leaking pages": a negative count is ignored.
        && n as i64 > 0
    {
        count_pages(pages, n, first_geometry(pages), count_unpinned);
    }
}

#[inline(always)]
fn exit_unpin(call: &impl Call, point: u32) {
    let _ = span::exit(&GUP_SPANS, RELEASE, unpin_nestable(point), call, point);
}
