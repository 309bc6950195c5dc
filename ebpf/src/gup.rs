//! Room gup. Traces: every `pin_user_pages*` and `get_user_pages*`, `memfd_pin_folios`; every exported `unpin_*`, and
//! `gup_put_folio` (`gup/unpin.rs`). Produces: calls, pages, errors and durations by entry point and geometry; pages
//! unpinned.

pub mod count;
mod flight;
mod holders;
mod leaf;
mod runs;
mod told;
mod unpin;

use daxscope_common::{
    geometry::UNKNOWN,
    holders::NO_STACK,
    lost,
    point::{
        GET_USER_PAGES_REMOTE, GET_USER_PAGES_UNLOCKED, MEMFD_PIN_FOLIOS, PIN_USER_PAGES_REMOTE,
    },
    span::Span,
};

use self::{
    count::{count_call, count_error, count_pages},
    flight::REQUEST,
    leaf::one_leaf,
    runs::DEVICE,
};
use crate::{
    call::{Call, point},
    layout::layout,
    session,
    span::{Return, UNSEEN},
};

// The numbers are the arguments that hold the array of pages and the flags (mm/gup.c; the agent checks them against BTF).
point!(pin_user_pages_fast, PIN_USER_PAGES_FAST, enter: enter::<3, 2, _>, exit: exit_int::<3, 2>);
point!(pin_user_pages_fast_only, PIN_USER_PAGES_FAST_ONLY, enter: enter::<3, 2, _>, exit: exit_int::<3, 2>);
point!(pin_user_pages, PIN_USER_PAGES, enter: enter::<3, 2, _>, exit: exit_long::<3, 2>);
point!(pin_user_pages_remote, PIN_USER_PAGES_REMOTE, enter: enter::<4, 3, _>, exit: exit_long::<4, 3>);
point!(pin_user_pages_unlocked, PIN_USER_PAGES_UNLOCKED, enter: enter::<2, 3, _>, exit: exit_long::<2, 3>);
point!(pin_user_pages_locked, PIN_USER_PAGES_LOCKED, enter: enter::<3, 2, _>, exit: exit_long::<3, 2>);
point!(memfd_pin_folios, MEMFD_PIN_FOLIOS, enter: enter::<3, NO_FLAGS, _>, exit: exit_long::<3, NO_FLAGS>);
point!(get_user_pages_fast, GET_USER_PAGES_FAST, enter: enter::<3, 2, _>, exit: exit_int::<3, 2>);
point!(get_user_pages_fast_only, GET_USER_PAGES_FAST_ONLY, enter: enter::<3, 2, _>, exit: exit_int::<3, 2>);
point!(get_user_pages, GET_USER_PAGES, enter: enter::<3, 2, _>, exit: exit_long::<3, 2>);
point!(get_user_pages_remote, GET_USER_PAGES_REMOTE, enter: enter::<4, 3, _>, exit: exit_long::<4, 3>);
point!(get_user_pages_unlocked, GET_USER_PAGES_UNLOCKED, enter: enter::<2, 3, _>, exit: exit_long::<2, 3>);
point!(get_user_pages_locked, GET_USER_PAGES_LOCKED, enter: enter::<3, 2, _>, exit: exit_long::<3, 2>);

/// In place of the position of the flags: there are none.
const NO_FLAGS: usize = usize::MAX;

/// The one entry point that others call: `get_user_pages_unlocked`, by the fast functions and by
/// `pin_user_pages_unlocked` (mm/gup.c: `__gup_longterm_unlocked`; read in 5.10 to 6.1, gone in 6.6).
#[inline(always)]
fn nestable(point: u32) -> bool {
    point == GET_USER_PAGES_UNLOCKED
}

/// Whether the first argument is the `mm_struct` of another process, before the address.
#[inline(always)]
fn remote(point: u32) -> bool {
    point == PIN_USER_PAGES_REMOTE || point == GET_USER_PAGES_REMOTE
}

/// Whether a point pins. Those that do come first.
#[inline(always)]
fn pins(point: u32) -> bool {
    point <= MEMFD_PIN_FOLIOS
}

/// Fewer pages than this are as well read as looked up.
const LEAF_MIN: u64 = 8;

/// Whether a call is made by another entry point, and left to that.
#[inline(always)]
fn inner(point: u32, flags: u32) -> bool {
    nestable(point) && flags & layout!(foll_inner) != 0
}

#[inline(always)]
fn enter<const PAGES: usize, const FLAGS: usize, C: Call>(call: &C, point: u32) {
    // Read where they are used, if they can be seen there: remembered ones may be of an earlier call, should both the
    // return of that and the entry of this have been missed.
    let (pages, flags) = if C::ARGS_AT_RETURN && !nestable(point) {
        (0, 0)
    } else {
        (call.arg(PAGES).unwrap_or(0), gup_flags::<FLAGS>(call))
    };
    if inner(point, flags) {
        return;
    }
    let in_session = session::on();
    let stack = if C::ARGS_AT_RETURN || !pins(point) || !holders::tracked() {
        NO_STACK
    } else {
        holders::stack(call)
    };
    let span = Span {
        flags,
        stack,
        ..Span::new(point, pages, UNKNOWN)
    };
    let open = || {
        if in_session && !C::ARGS_AT_RETURN {
            told::asked(call, point);
        }
    };
    // Before its time begins; but one that may be inside of another must not take that one's place.
    if !nestable(point) {
        open();
    }
    // Without BTF nothing is known of the flags, and it is seen by the frames.
    let outermost = flight::enter(REQUEST, nestable(point), call, span);
    if nestable(point) && outermost {
        open();
    }
}

#[inline(always)]
fn gup_flags<const FLAGS: usize>(call: &impl Call) -> u32 {
    if FLAGS == NO_FLAGS {
        return 0;
    }
    call.int_arg(FLAGS).unwrap_or(0) as u32
}

/// The fast functions return `int`: the upper half of the register is undefined.
#[inline(always)]
fn exit_int<const PAGES: usize, const FLAGS: usize>(call: &impl Call, point: u32) {
    exit::<PAGES, FLAGS, _>(call, point, |ret| i64::from(ret as i32));
}

#[inline(always)]
fn exit_long<const PAGES: usize, const FLAGS: usize>(call: &impl Call, point: u32) {
    exit::<PAGES, FLAGS, _>(call, point, |ret| ret as i64);
}

#[inline(always)]
fn exit<const PAGES: usize, const FLAGS: usize, C: Call>(
    call: &C,
    point: u32,
    signed: impl Fn(u64) -> i64,
) {
    let (mut pages, mut flags, mut stack, mut ns) = (0, 0, NO_STACK, UNSEEN);
    if C::ARGS_AT_RETURN {
        flags = gup_flags::<FLAGS>(call);
        if inner(point, flags) {
            return;
        }
    }
    // Without latency, what shows its arguments at its return has no program at its entry.
    if !C::ARGS_AT_RETURN || layout!(latency) != 0 {
        match flight::exit(REQUEST, nestable(point), call, point) {
            Return::Of(span, duration) => {
                ns = duration;
                if !C::ARGS_AT_RETURN {
                    (pages, flags, stack) = (span.arg, span.flags, span.stack);
                }
            }
            Return::Nested => return,
            // Perhaps a request of its own, perhaps part of one that was not remembered either.
            Return::Unmatched if nestable(point) && !C::ARGS_AT_RETURN => {
                return crate::lost::count(lost::NESTING);
            }
            Return::Unmatched => {}
        }
    }
    let Some(ret) = call.ret(layout!(args[point as usize])) else {
        return;
    };
    let ret = signed(ret);
    if C::ARGS_AT_RETURN {
        pages = call.arg(PAGES).unwrap_or(0);
    }
    let longterm = flags & layout!(foll_longterm) != 0;
    // Where the arguments can be seen; else a kprobe would have to keep two more of them.
    let whole = |n, first| {
        C::ARGS_AT_RETURN && n > LEAF_MIN && FLAGS != NO_FLAGS && {
            let (mm, start) = if remote(point) {
                (call.arg(0), call.arg(1))
            } else {
                (Some(0), call.arg(0))
            };
            matches!((mm, start), (Some(mm), Some(start)) if one_leaf(mm, start, n, first) != 0)
        }
    };
    if session::on() {
        return told::returned(call, point, pages, ret, longterm, ns, whole);
    }
    if ret < 0 {
        count_error(point, ret.wrapping_neg() as u64);
    }
    // No array: the caller wants the pages faulted in, and gets no reference to them.
    let found = if ret > 0 && pages != 0 {
        count_pages(pages, ret as u64, point, longterm, ns, whole)
    } else {
        count_call(point, UNKNOWN, longterm, ns)
    };
    if holders::tracked() && pins(point) && found & DEVICE != 0 {
        let stack = if C::ARGS_AT_RETURN {
            holders::stack(call)
        } else {
            stack
        };
        holders::acquired(pages, ret as u64, point, stack);
    }
}
