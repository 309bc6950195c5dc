//! Room gup. Traces: every `pin_user_pages*` and `get_user_pages*`, `memfd_pin_folios`; every exported `unpin_*`, and
//! `gup_put_folio` (`gup/unpin.rs`). Produces: calls, pages, errors and durations by entry point and geometry; pages
//! unpinned.

mod flight;
mod holders;
mod leaf;
mod runs;
mod unpin;

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    macros::map,
    maps::{PerCpuArray, PerCpuHashMap},
};
use daxscope_common::{
    ERRNOS,
    geometry::{SLOTS, SYSTEM, UNKNOWN},
    gup::{Gup, GupErrors, PINNED_PAGEMAPS, Pinned},
    holders::NO_STACK,
    lost,
    point::{
        GET_USER_PAGES_REMOTE, GET_USER_PAGES_UNLOCKED, GUP_ENTRIES, MEMFD_PIN_FOLIOS,
        PIN_USER_PAGES_REMOTE,
    },
    span::Span,
};

use self::{
    flight::REQUEST,
    leaf::one_leaf,
    runs::{DEVICE, GEOMETRY, MIXED, SAMPLED, UNPROVEN, count_parts, count_runs, look, page_at},
};
use crate::{
    call::{Call, point},
    hist::{add, record},
    layout::layout,
    page::{NO_PAGEMAP, is_pagemap, page_pagemap, pagemap_geometry, pagemap_of_page},
    session,
    span::{self, Return, UNSEEN},
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
            let (address, asked) = asked(call, point);
            session::open(call, session::REQUEST, point, address, asked);
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

/// The first address of a request, and how many pages it asks for; 0 where that is not said. `memfd_pin_folios` has a range of
/// a file instead.
#[inline(always)]
fn asked(call: &impl Call, point: u32) -> (u64, u64) {
    if point == MEMFD_PIN_FOLIOS {
        let (first, last) = (call.int_arg(1).unwrap_or(0), call.int_arg(2).unwrap_or(0));
        let shift = layout!(page_shift) & 63;
        return (
            0,
            (last >> shift).wrapping_sub(first >> shift).wrapping_add(1),
        );
    }
    let address = usize::from(remote(point));
    let pages = call.int_arg(address + 1).unwrap_or(0);
    // Some are `int`: the upper half of the register is undefined. None asks for 2^32 pages.
    (call.int_arg(address).unwrap_or(0), u64::from(pages as u32))
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
        return tell(call, point, pages, ret, longterm, ns, whole);
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

/// Counts a request for a session.
#[inline(always)]
fn tell<C: Call>(
    call: &C,
    point: u32,
    pages: u64,
    ret: i64,
    longterm: bool,
    ns: u64,
    whole: impl Fn(u64, u64) -> bool,
) {
    let at = span::now();
    let frame = call.frame();
    let place = session::place(session::REQUEST, frame);
    // By kprobe it is open, unless its entry was missed.
    if C::ARGS_AT_RETURN {
        let (address, asked) = asked(call, point);
        session::open(call, session::REQUEST, point, address, asked);
    } else if !session::is_open(session::REQUEST, frame) {
        session::open(call, session::REQUEST, point, 0, 0);
    }
    if session::session_settle(place, at, ns, ret as u64, u32::from(longterm)) == 0 {
        return;
    }
    let mut sampled = 0;
    if ret > 0 && pages != 0 {
        let (n, first) = (ret as u64, page_at(pages, 0));
        let found = if n == 1 || whole(n, first) {
            count_run(page_pagemap(first), n, point, frame)
        } else {
            count_runs(pages, n, point, frame)
        };
        sampled = u32::from(found & SAMPLED != 0);
    }
    session::session_close(place, sampled);
}

/// Counts a request and what it returned: `n` pages, at least one, of which `whole` may know from the first that all are of one
/// pagemap. Returns [`DEVICE`] if there was device memory among them.
#[inline(always)]
fn count_pages(
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
fn count_call(point: u32, geometry: u32, longterm: bool, ns: u64) -> u32 {
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

/// What [`count_run`] counts: a request, by the number of its point, with `FOLL_LONGTERM` or not; or a release.
const LONGTERM: u32 = 1 << 31;
const RELEASED: u32 = LONGTERM - 1;

/// Whether a point pins. Those that do come first.
#[inline(always)]
fn pins(point: u32) -> bool {
    point <= MEMFD_PIN_FOLIOS
}

/// Counts pages of one pagemap, and returns their geometry slot, with [`DEVICE`] if they are device memory. `frame` is where the call's stack frame lies
/// ([`Call::frame`]); only a release and a session need it. A global function, as in `runs.rs`.
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
fn count_released(geometry: u32, n: u64) {
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
