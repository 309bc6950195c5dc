//! Pins that are given back.

use daxscope_common::{
    geometry::{SYSTEM, UNKNOWN},
    layout::ABSENT,
    point::{UNPIN_USER_PAGE, UNPIN_USER_PAGES},
    span::Span,
};

use super::{
    count::{RELEASED, count_released, count_run},
    flight::{self, RELEASE},
    holders::{self, RANGE},
    runs::{DEVICE, count_runs, is_of},
};
use crate::{
    call::{Call, point},
    layout::layout,
    page::{is_device, page_pagemap},
    session,
    span::{self, Return, UNSEEN},
};

point!(gup_put, GUP_PUT, enter: enter_put);

/// `void gup_put_folio(struct folio *folio, int refs, unsigned int flags)` since 5.19; before,
/// `put_compound_head(struct page *page, int refs, unsigned int flags)`; mm/gup.c.
#[inline(always)]
fn enter_put(call: &impl Call, point: u32) {
    let (Some(refs), Some(flags)) = (call.int_arg(1), call.int_arg(2)) else {
        return;
    };
    let frame = call.frame();
    let nested = || layout!(funnel) == 0 && flight::inside(RELEASE, frame);
    if flags as u32 & layout!(foll_pin) == 0 || nested() {
        return;
    }
    let refs = u64::from(refs as u32);
    if session::on() {
        if let Some(folio) = call.arg(0) {
            session::open(call, session::RELEASE, point, 0, refs);
            count_run(page_pagemap(folio), refs, RELEASED, frame);
            closed(frame, span::now(), UNSEEN);
        }
        return;
    }
    // As nearly always: one load tells.
    if layout!(zone_shift) != ABSENT
        && let Some(flags) = call.word_of_arg(0, layout!(page_flags))
        && !is_device(flags)
    {
        return count_released(SYSTEM, refs);
    }
    if let Some(folio) = call.arg(0) {
        let found = count_run(page_pagemap(folio), refs, RELEASED, frame);
        note(call, found, folio, refs, RANGE);
    }
}

/// Takes off who held them what was found to be device memory.
#[inline(always)]
fn note(call: &impl Call, found: u32, at: u64, n: u64, range: u32) {
    if holders::tracked() && found & DEVICE != 0 {
        holders::released(call, at, n, range);
    }
}

// The exported functions that give pins back, which call each other. The compiler may have inlined the function above
// into any of them (as gcc did on 7.3); then these count what they give back, and that one only what is left: what the
// kernel undoes inside a request. Where it was not, that one is all that is attached (agent/src/load/funnel.rs).
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
    flight::enter(RELEASE, nestable, call, Span::new(point, 0, UNKNOWN))
}

/// Opens a release for a session, if there is one. Its pages are counted at once: what is given back may be gone at its return.
#[inline(always)]
fn opened(call: &impl Call, point: u32, n: u64) {
    if session::on() {
        session::open(call, session::RELEASE, point, 0, n);
    }
}

/// Its time begins: what was counted of it until here is our own work.
#[inline(always)]
fn begun(call: &impl Call) {
    if session::on() {
        session::begin(session::RELEASE, call.frame());
    }
}

/// Closes a release for a session: it ended at a moment, and took so long.
#[inline(always)]
fn closed(frame: u32, at: u64, ns: u64) {
    let place = session::place(session::RELEASE, frame);
    if session::session_settle(place, at, ns, 0, 0) != 0 {
        session::session_close(place, 0);
    }
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
        opened(call, point, 1);
        let found = count_run(page_pagemap(page), 1, RELEASED, call.frame());
        note(call, found, page, 1, RANGE);
        begun(call);
    }
}

/// `(struct page *page, unsigned long npages, …)`, `(struct folio *folio, unsigned long npages)`
#[inline(always)]
fn enter_unpin_range(call: &impl Call, point: u32) {
    if outermost(call, point)
        && let (Some(page), Some(n)) = (call.arg(0), call.arg(1))
    {
        opened(call, point, n);
        let found = count_range(page, n, call.frame());
        note(call, found, page, n, RANGE);
        begun(call);
    }
}

/// Counts the release of pages whose struct pages follow each other. Their ends may be of two pagemaps whose ranges meet:
/// RDMA joined such pages up to 6.1 (`__sg_alloc_table_from_pages`; `zone_device_pages_have_same_pgmap` since).
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn count_range(page: u64, n: u64, frame: u32) -> u32 {
    let size = u64::from(layout!(page_size));
    let pgmap = page_pagemap(page);
    let (mut like, mut apart) = (0, n.saturating_sub(1));
    if n <= 1 || is_of(page + (n - 1) * size, pgmap) != 0 {
        return count_run(pgmap, n, RELEASED, frame);
    }
    // As in `border`.
    for _ in 0..32 {
        if apart <= 1 {
            break;
        }
        let half = apart / 2;
        let is_like = is_of(page + (like + half) * size, pgmap);
        like += half * is_like;
        apart = half + (apart - 2 * half) * is_like;
    }
    let of_first = like + 1;
    count_run(pgmap, of_first, RELEASED, frame);
    count_run(
        page_pagemap(page + of_first * size),
        n - of_first,
        RELEASED,
        frame,
    )
}

/// `(struct page **pages, unsigned long npages, …)`, `(struct folio **folios, unsigned long nfolios)`
#[inline(always)]
fn enter_unpin_array(call: &impl Call, point: u32) {
    if outermost(call, point)
        && let (Some(pages), Some(n)) = (call.arg(0), call.arg(1))
        // "If this WARN_ON() hits, then the system *might* be leaking pages": a negative count is ignored.
        && n as i64 > 0
    {
        opened(call, point, n);
        let found = count_runs(pages, n, RELEASED, call.frame());
        note(call, found, pages, n, 0);
        begun(call);
    }
}

#[inline(always)]
fn exit_unpin(call: &impl Call, point: u32) {
    // Taken first, as everywhere.
    let now = if session::on() { span::now() } else { 0 };
    let returned = flight::exit(RELEASE, unpin_nestable(point), call, point);
    if session::on()
        && let Return::Of(..) = returned
    {
        let frame = call.frame();
        closed(frame, now, session::since(session::RELEASE, frame, now));
    }
}
