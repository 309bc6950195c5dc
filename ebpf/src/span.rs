//! Pairing the entry of a call with its return.
//!
//! Calls are kept by thread. What could go wrong is told apart by the stack frame: a call nested in another
//! lies below it; a call at or above the remembered one proves that the remembered one's return was missed.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    maps::HashMap,
};
use daxscope_common::{
    lost,
    span::{STACK_POWER, Span},
};

use crate::call::FRAME_SLACK;

/// Calls in flight of one room, by [`key`]; `MAP` is the map's number in `lost::MAPS`.
#[repr(transparent)]
pub struct Spans<const MAP: u32>(HashMap<u64, Span>);

impl<const MAP: u32> Spans<MAP> {
    pub const fn new(calls: u32) -> Self {
        Self(HashMap::with_max_entries(calls, 0))
    }

    /// The call that is remembered under a key.
    #[inline(always)]
    pub fn get(&self, key: u64) -> Option<&Span> {
        // SAFETY: an entry is written and removed by its own thread, and by the agent once that has ended.
        unsafe { self.0.get(key) }
    }
}

/// The current thread, the stack that it is on, and a number that keeps apart what may nest on purpose. The stack,
/// because an interrupt borrows the thread: what it calls is not nested in what the thread was doing.
#[inline(always)]
pub fn key(lane: u32, frame: u32) -> u64 {
    let stack = frame >> STACK_POWER;
    let high = lane << (u32::BITS - STACK_POWER) | stack;
    (bpf_get_current_pid_tgid() & 0xffff_ffff) | u64::from(high) << 32
}

/// The time; to be taken first at a return, so that our own work is not measured.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// The duration of a call whose beginning was not seen. A value rather than an `Option`, of which the compiler leaves
/// one half unwritten: the verifiers of 5.10 and 6.1 refuse to see it copied.
pub const UNSEEN: u64 = u64::MAX;

/// What the return of a call is.
pub enum Return {
    /// The end of a remembered call, with its duration in nanoseconds.
    Of(Span, u64),
    /// The end of a call nested in the remembered one: not a request of its own.
    Nested,
    /// The end of a call whose beginning was not seen.
    Unmatched,
}

/// What became of a call that began.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It is remembered; for `Again` in place of one whose return was missed.
    New,
    Again,
    /// It was made from inside another, and is left to that.
    Nested,
    /// It could not be remembered.
    Lost,
}

/// Remembers a call. With `nestable`, one made from inside another of the lane is left to that.
#[inline(always)]
pub fn enter<const MAP: u32>(
    spans: &Spans<MAP>,
    lane: u32,
    nestable: bool,
    frame: u32,
    new: Span,
) -> Entry {
    let key = key(lane, frame);
    let mut entry = Entry::New;
    if let Some(open) = spans.get(key) {
        // Equal frames: the outer function reached the inner by a tail call, which leaves it no frame.
        if nestable && open.point != new.point && open.frame >= frame {
            return Entry::Nested;
        }
        crate::lost::count(lost::MISSED_RETURN);
        entry = Entry::Again;
    }
    let span = Span {
        frame,
        start: now(),
        ..new
    };
    if let Err(error) = spans.0.insert(key, span, 0) {
        crate::lost::count(lost::START);
        crate::lost::insert_failed(MAP, error);
        return Entry::Lost;
    }
    entry
}

/// Whether a call, given by where its frame lies, is made from inside a remembered one of the lane.
#[inline(always)]
pub fn inside<const MAP: u32>(spans: &Spans<MAP>, lane: u32, frame: u32) -> bool {
    spans
        .get(key(lane, frame))
        .is_some_and(|open| open.frame >= frame)
}

/// Ends a call at a time ([`now`]), and forgets it.
#[inline(always)]
pub fn exit<const MAP: u32>(
    spans: &Spans<MAP>,
    lane: u32,
    nestable: bool,
    frame: u32,
    point: u32,
    now: u64,
) -> Return {
    let key = key(lane, frame);
    let Some(&span) = spans.get(key) else {
        crate::lost::count(lost::UNMATCHED_RETURN);
        return Return::Unmatched;
    };
    if span.point == point && frame.wrapping_sub(span.frame) <= FRAME_SLACK {
        let _ = spans.0.remove(key);
        return Return::Of(span, now.saturating_sub(span.start));
    }
    if nestable && frame <= span.frame.wrapping_add(FRAME_SLACK) {
        return Return::Nested;
    }
    crate::lost::count(lost::UNMATCHED_RETURN);
    Return::Unmatched
}
