//! What a session is told of requests (`session.rs`): what each asks for, and what it returned.

use daxscope_common::point::MEMFD_PIN_FOLIOS;

use super::{
    count::count_run,
    remote,
    runs::{SAMPLED, count_runs, page_at},
};
use crate::{call::Call, layout::layout, page::page_pagemap, session, span};

/// Opens a request, where its arguments can be seen.
#[inline(always)]
pub fn asked(call: &impl Call, point: u32) {
    let (address, pages) = range(call, point);
    session::open(call, session::REQUEST, point, address, pages);
}

/// The first address of a request, and how many pages it asks for; 0 where that is not said. `memfd_pin_folios` has a range of
/// a file instead.
#[inline(always)]
fn range(call: &impl Call, point: u32) -> (u64, u64) {
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

/// Closes a request: it ended now, and took so long. `whole` is as in [`super::count::count_pages`].
#[inline(always)]
pub fn returned<C: Call>(
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
        asked(call, point);
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
