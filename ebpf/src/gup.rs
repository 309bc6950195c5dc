//! Room gup. Traces: every `pin_user_pages*` and `get_user_pages*`, `memfd_pin_folios`; every exported `unpin_*`, and
//! `gup_put_folio` (`gup/unpin.rs`). Produces: calls, pages, errors and durations by entry point and geometry; pages
//! unpinned.

mod unpin;

use aya_ebpf::{macros::map, maps::PerCpuArray};
use daxscope_common::{
    ERRNOS,
    geometry::{SLOTS, UNKNOWN},
    gup::{Gup, GupErrors},
    lost,
    point::{GET_USER_PAGES_UNLOCKED, GUP_ENTRIES},
    span::{GUP_IN_FLIGHT, Span},
};

use crate::{
    call::{Call, point},
    field::read,
    hist::{add, record},
    layout::layout,
    page::page_geometry,
    span::{self, Return, Spans, UNSEEN},
};

#[map]
static GUP: PerCpuArray<Gup> = PerCpuArray::with_max_entries((GUP_ENTRIES * SLOTS) as u32, 0);
#[map]
static GUP_ERRORS: PerCpuArray<GupErrors> = PerCpuArray::with_max_entries(GUP_ENTRIES as u32, 0);
#[map]
static GUP_SPANS: Spans<{ lost::GUP_SPANS }> = Spans::new(GUP_IN_FLIGHT);

// The number is the argument that holds the array of pages (mm/gup.c; the agent checks it against BTF).
point!(pin_user_pages_fast, PIN_USER_PAGES_FAST, enter: enter::<3, _>, exit: exit_int::<3>);
point!(pin_user_pages_fast_only, PIN_USER_PAGES_FAST_ONLY, enter: enter::<3, _>, exit: exit_int::<3>);
point!(pin_user_pages, PIN_USER_PAGES, enter: enter::<3, _>, exit: exit_long::<3>);
point!(pin_user_pages_remote, PIN_USER_PAGES_REMOTE, enter: enter::<4, _>, exit: exit_long::<4>);
point!(pin_user_pages_unlocked, PIN_USER_PAGES_UNLOCKED, enter: enter::<2, _>, exit: exit_long::<2>);
point!(pin_user_pages_locked, PIN_USER_PAGES_LOCKED, enter: enter::<3, _>, exit: exit_long::<3>);
point!(memfd_pin_folios, MEMFD_PIN_FOLIOS, enter: enter::<3, _>, exit: exit_long::<3>);
point!(get_user_pages_fast, GET_USER_PAGES_FAST, enter: enter::<3, _>, exit: exit_int::<3>);
point!(get_user_pages_fast_only, GET_USER_PAGES_FAST_ONLY, enter: enter::<3, _>, exit: exit_int::<3>);
point!(get_user_pages, GET_USER_PAGES, enter: enter::<3, _>, exit: exit_long::<3>);
point!(get_user_pages_remote, GET_USER_PAGES_REMOTE, enter: enter::<4, _>, exit: exit_long::<4>);
point!(get_user_pages_unlocked, GET_USER_PAGES_UNLOCKED, enter: enter::<2, _>, exit: exit_long::<2>);
point!(get_user_pages_locked, GET_USER_PAGES_LOCKED, enter: enter::<3, _>, exit: exit_long::<3>);

/// Lanes of [`GUP_SPANS`]: a thread has one request and one release in flight at most.
const REQUEST: u32 = 0;
const RELEASE: u32 = 1;

/// The one entry point that others call: `get_user_pages_unlocked`, by the fast functions and by
/// `pin_user_pages_unlocked` (mm/gup.c: `__gup_longterm_unlocked`; read in 5.10 to 6.1, gone in 6.6).
#[inline(always)]
fn nestable(point: u32) -> bool {
    point == GET_USER_PAGES_UNLOCKED
}

#[inline(always)]
fn enter<const PAGES: usize, C: Call>(call: &C, point: u32) {
    // Read where it is used, if it can be seen there: a remembered one may be of an earlier call, should both the return
    // of that and the entry of this have been missed.
    let pages = if C::ARGS_AT_RETURN {
        0
    } else {
        call.arg(PAGES).unwrap_or(0)
    };
    let span = Span::new(point, pages, UNKNOWN);
    span::enter(&GUP_SPANS, REQUEST, nestable(point), call, span);
}

/// The fast functions return `int`: the upper half of the register is undefined.
#[inline(always)]
fn exit_int<const PAGES: usize>(call: &impl Call, point: u32) {
    exit::<PAGES>(call, point, |ret| i64::from(ret as i32));
}

#[inline(always)]
fn exit_long<const PAGES: usize>(call: &impl Call, point: u32) {
    exit::<PAGES>(call, point, |ret| ret as i64);
}

#[inline(always)]
fn exit<const PAGES: usize>(call: &impl Call, point: u32, signed: impl Fn(u64) -> i64) {
    let (remembered, ns) = match span::exit(&GUP_SPANS, REQUEST, nestable(point), call, point) {
        Return::Of(span, ns) => (span.arg, ns),
        Return::Nested => return,
        // Perhaps a request of its own, perhaps part of one that was not remembered either.
        Return::Unmatched if nestable(point) => return crate::lost::count(lost::NESTING),
        Return::Unmatched => (0, UNSEEN),
    };
    let pages = call.arg(PAGES).unwrap_or(remembered);
    let Some(ret) = call.ret(layout!(args[point as usize])) else {
        return;
    };
    let ret = signed(ret);
    if ret < 0 {
        count_error(point, ret.wrapping_neg() as u64);
    }
    // No array: the caller wants the pages faulted in, and gets no reference to them.
    let got = if ret > 0 && pages != 0 { ret as u64 } else { 0 };
    let geometry = if got == 0 {
        UNKNOWN
    } else {
        first_geometry(pages)
    };
    if let Some(stats) = stats(point, geometry) {
        // SAFETY: a value of a per-CPU array.
        unsafe {
            add(&raw mut (*stats).calls, 1);
            if ns != UNSEEN {
                record(&raw mut (*stats).duration, ns);
            }
        }
    }
    if got > 0 {
        count_pages(pages, got, geometry, |geometry, n| {
            if let Some(stats) = stats(point, geometry) {
                // SAFETY: a value of a per-CPU array.
                unsafe { add(&raw mut (*stats).pages, n) };
            }
        });
    }
}

#[inline(always)]
fn stats(point: u32, geometry: u32) -> Option<*mut Gup> {
    GUP.get_ptr_mut(point * SLOTS as u32 + geometry)
}

#[inline(always)]
fn count_error(point: u32, errno: u64) {
    if let Some(errors) = GUP_ERRORS.get_ptr_mut(point)
        && (errno as usize) < ERRNOS
    {
        // SAFETY: only an address is taken.
        let by_errno = unsafe { &raw mut (*errors).by_errno }.cast::<u64>();
        // SAFETY: a value of a per-CPU array, and in bounds.
        unsafe { add(by_errno.add(errno as usize), 1) };
    }
}

/// Geometry of the page that an element of an array of `struct page *` points to.
#[inline(always)]
fn geometry_at(pages: u64, index: u64) -> u32 {
    if let Some(page) = read::<u64>(pages + 8 * index) {
        return page_geometry(page);
    }
    crate::lost::count(lost::UNREADABLE);
    UNKNOWN
}

#[inline(always)]
fn first_geometry(pages: u64) -> u32 {
    geometry_at(pages, 0)
}

/// Counts `n` pages by geometry. A request covers one range of addresses, nearly always of one mapping: if its
/// last page is like its first, all are taken to be. If not, the seam is found by bisection.
#[inline(always)]
fn count_pages(pages: u64, n: u64, first: u32, count: impl Fn(u32, u64)) {
    let last = if n == 1 {
        first
    } else {
        geometry_at(pages, n - 1)
    };
    if last == first {
        return count(first, n);
    }
    let seam = seam(pages, n, first);
    count(first, seam);
    count(last, n - seam);
}

/// The index of the first page that is not like page 0, where page `n - 1` is known not to be. A global function, as
/// is [`page_geometry`], so that the verifier walks its loop once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn seam(pages: u64, n: u64, first: u32) -> u64 {
    let (mut like, mut unlike) = (0, n - 1);
    // 2^32 pages are 16 TiB, and the count is an int or bounded by memory.
    for _ in 0..32 {
        if unlike - like <= 1 {
            break;
        }
        let middle = like + (unlike - like) / 2;
        if geometry_at(pages, middle) == first {
            like = middle;
        } else {
            unlike = middle;
        }
    }
    unlike
}
