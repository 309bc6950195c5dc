//! Who holds pins on device memory, by unit (`common/src/holders.rs`): noted when a request returns, taken off when pins are
//! given back, by whomever. Only if the agent was asked for it ([`tracked`]); else the verifier removes it all.
//!
//! Nothing here takes a lock, and the kernel may pin and unpin a unit on several CPUs at once. So what decides a race is one
//! operation of the map or of memory: a pin of a base page is an entry, put in by insert-if-absent and taken out by remove,
//! which succeeds for one; a holder of a compound page is a count, added to and taken from atomically, and its entry goes
//! only when another holder needs the slot and the count is 0. A release does not say whose pin it is: it is taken off the
//! current process if that holds any on the unit, else off another. So the sum over a unit is right, but of two who hold the
//! same unit, the wrong one may be named once one has let go.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    macros::map,
    maps::{HashMap, StackTrace},
};
use daxscope_common::{
    holders::{COMPOUND, HOLDS as ENTRIES, Hold, Key, NO_STACK, SLOTS, STACKS},
    layout::ABSENT,
    lost,
};

use super::flight::{self, REQUEST};
use crate::{
    call::Call,
    field::word,
    hist::add,
    layout::layout,
    page::{is_pagemap, page_head, page_pagemap, pages_of_compound},
};

#[map]
static HOLDS: HashMap<Key, Hold> = HashMap::with_max_entries(ENTRIES, 0);
#[map]
static HOLD_STACKS: StackTrace = StackTrace::with_max_entries(STACKS, 0);

/// Whether holders are tracked.
#[inline(always)]
pub fn tracked() -> bool {
    layout!(track_holders) != 0
}

/// The number of the kernel stack that a call is made from. At its return a kretprobe of 5.10 sees no more of it than its own
/// trampoline (measured), so a kprobe keeps it from the entry.
#[inline(always)]
pub fn stack(call: &impl Call) -> u32 {
    let map = (&raw const HOLD_STACKS).cast_mut().cast();
    crate::stack::number(call, map, 0)
}

/// Notes the pins of a request that returned `n` pages.
#[inline(always)]
pub fn acquired(array: u64, n: u64, point: u32, stack: u32) {
    note(array, n, point, stack);
}

/// Takes off pins that are given back: `n` of an array or, with [`RANGE`], of pages that follow each other.
#[inline(always)]
pub fn released(call: &impl Call, at: u64, n: u64, range: u32) {
    // What the kernel undoes inside a request was never noted.
    if !flight::inside(REQUEST, call.frame()) {
        note(at, n, RELEASE | range, NO_STACK);
    }
}

/// In place of a point: a release.
const RELEASE: u32 = 1 << 31;
/// Added to a release: not of an array of `struct page *`, but of a `struct page` and those that follow it.
pub const RANGE: u32 = 1 << 30;

/// Units looked at in one request or release: the square of this. What is beyond is lost.
const TURNS: u32 = 256;

/// Notes or takes off the pins of up to `n` pages.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn note(at: u64, n: u64, what: u32, stack: u32) -> u32 {
    let (mut at, mut left, stride) = (at, n, stride(what));
    for _ in 0..TURNS {
        if left == 0 {
            return 0;
        }
        let done = note_units(at, left, what, stack).min(left);
        at += done * stride;
        left -= done;
    }
    lost_pages(left)
}

/// As [`note`], of so many units. Returns for how many pages that was.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn note_units(at: u64, n: u64, what: u32, stack: u32) -> u64 {
    let (mut at, mut left, stride) = (at, n, stride(what));
    for _ in 0..TURNS {
        if left == 0 {
            break;
        }
        let done = note_unit(at, left, what, stack).min(left);
        at += done * stride;
        left -= done;
    }
    n - left
}

/// As [`note`], of what lies in one unit.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn note_unit(at: u64, n: u64, what: u32, stack: u32) -> u64 {
    let page = page_of(at, what);
    let pgmap = page_pagemap(page);
    if !is_pagemap(pgmap) {
        return 1;
    }
    let (head, size) = (page_head(page), u64::from(layout!(page_size)));
    let all = pages_of_compound(pgmap);
    let mut some = 1;
    if all > 1 && size != 0 {
        some = all.saturating_sub((page - head) / size).max(1).min(n);
        // A mapping of device memory has its pages in their order. Of any other, one by one.
        if page_of(at + (some - 1) * stride(what), what) != page + (some - 1) * size {
            some = 1;
        }
    }
    let compound = all > 1 || page != head || has_tails(page);
    let unit = if compound { head | COMPOUND } else { head };
    if what & RELEASE == 0 {
        acquire(unit, pgmap, some, what, stack);
    } else {
        release(unit, some);
    }
    some
}

/// Notes pins of the current process on a unit.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn acquire(unit: u64, pgmap: u64, pins: u64, point: u32, stack: u32) -> u32 {
    let hold = Hold {
        pgmap,
        // SAFETY: no arguments.
        since: unsafe { bpf_ktime_get_ns() },
        pins,
        tgid: tgid(),
        point,
        stack,
        pad: 0,
        comm: bpf_get_current_comm().unwrap_or([0; 16]),
    };
    for slot in 0..SLOTS {
        let key = Key { unit, slot, pad: 0 };
        if let Some(found) = HOLDS.get_ptr_mut(key) {
            // SAFETY: a map value; who else writes it does so in whole words.
            let old = unsafe { *found };
            let counts = unit & COMPOUND != 0;
            if counts
                && old.pgmap == pgmap
                && (old.tgid, old.point, old.stack) == (hold.tgid, point, stack)
            {
                // SAFETY: a map value.
                unsafe {
                    if old.pins == 0 {
                        (*found).since = hold.since;
                    }
                    add(&raw mut (*found).pins, pins);
                }
                return 0;
            }
            if old.pgmap == pgmap && (!counts || old.pins != 0) {
                continue;
            }
            // Left over from a pagemap that is gone, or by a holder who has let go.
            let _ = HOLDS.remove(key);
        }
        match HOLDS.insert(key, hold, u64::from(BPF_NOEXIST)) {
            Ok(()) => return 0,
            Err(EEXIST) => {}
            Err(error) => {
                crate::lost::insert_failed(lost::HOLDS, error);
                break;
            }
        }
    }
    lost_pages(pins)
}

/// Another CPU was faster.
const EEXIST: i32 = -17;

/// Takes pins off a unit: off the current process first, then off any. Those that nobody holds were taken before holders
/// were tracked.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn release(unit: u64, pins: u64) -> u32 {
    let (tgid, mut left) = (tgid(), pins);
    for turn in 0..2 * SLOTS {
        if left == 0 {
            break;
        }
        let slot = turn % SLOTS;
        let key = Key { unit, slot, pad: 0 };
        let Some(held) = HOLDS.get_ptr_mut(key) else {
            continue;
        };
        // SAFETY: a map value; who else writes it does so in whole words.
        let (owner, count) = unsafe { ((*held).tgid, (*held).pins) };
        if turn < SLOTS && owner != tgid {
            continue;
        }
        if unit & COMPOUND == 0 {
            left -= u64::from(HOLDS.remove(key).is_ok());
        } else if count as i64 > 0 {
            let some = count.min(left);
            // SAFETY: a map value.
            unsafe { add(&raw mut (*held).pins, some.wrapping_neg()) };
            left -= some;
        }
    }
    0
}

#[inline(always)]
fn tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// How far apart the places are that pages are told by.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn stride(what: u32) -> u64 {
    if what & RANGE == 0 {
        8
    } else {
        u64::from(layout!(page_size))
    }
}

/// The page at such a place; 0 if it cannot be read.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn page_of(at: u64, what: u32) -> u64 {
    if what & RANGE == 0 {
        word(at).unwrap_or(0)
    } else {
        at
    }
}

/// Whether a page that is no tail is the head of a compound page: of fsdax, whose geometry says nothing of it.
#[inline(always)]
fn has_tails(page: u64) -> bool {
    let bit = layout!(page_head);
    if bit == ABSENT {
        return false;
    }
    word(page + u64::from(layout!(page_flags))).is_some_and(|flags| flags >> (bit & 63) & 1 != 0)
}

#[inline(always)]
fn lost_pages(pages: u64) -> u32 {
    crate::lost::count_many(lost::HOLD, pages);
    0
}
