//! Calls in flight in room gup: each in the slot of its thread (`common/src/span.rs`), or if that is taken, in a hash.
//! Taking and leaving a slot is a handful of instructions, where a hash takes some two hundred for each.

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::map, maps::Array};
use daxscope_common::{
    geometry::UNKNOWN,
    lost,
    span::{GUP_IN_FLIGHT, GUP_SLOTS, STACK_POWER, Slot, Span, id, point, slot, tid},
};

use crate::{
    call::{Call, FRAME_SLACK},
    hist::add,
    layout::layout,
    span::{self, Entry, Return, Spans},
};

/// Mapped by the agent, which looks for those whose thread has ended.
#[map(name = "GUP_SLOTS")]
static SLOTS: Array<Slot> = Array::with_max_entries(GUP_SLOTS, BPF_F_MMAPABLE);
/// include/uapi/linux/bpf.h
const BPF_F_MMAPABLE: u32 = 1 << 10;
#[map(name = "GUP_SPANS")]
static DISPLACED: Spans<{ lost::GUP_SPANS }> = Spans::new(GUP_IN_FLIGHT);

/// A thread has one request and one release in flight at most.
pub const REQUEST: u32 = 0;
pub const RELEASE: u32 = 1;

#[inline(always)]
fn now() -> u64 {
    if layout!(latency) == 0 {
        return 0;
    }
    span::now()
}

#[inline(always)]
fn current() -> u32 {
    bpf_get_current_pid_tgid() as u32
}

/// Remembers a call, with what its return cannot see. With `nestable`, one made from inside another of the lane is left
/// to that; returns whether it was not.
#[inline(always)]
pub fn enter<C: Call>(lane: u32, nestable: bool, call: &C, new: Span) -> bool {
    let (tid, frame) = (current(), call.frame());
    let id = id(tid, new.point, frame);
    let Some(slot) = SLOTS.get_ptr_mut(slot(tid, lane)) else {
        return true;
    };
    // SAFETY: a map value. Who owns it is alone in writing it, but for `claims` and `displaced`, which are added to.
    unsafe {
        let open = (&raw const (*slot).id).read_volatile();
        if open == 0 && !(nestable && displaced(slot)) {
            add(&raw mut (*slot).claims, 1);
            if (&raw const (*slot).claims).read_volatile() == 1 {
                occupy::<C>(slot, id, &new);
                return true;
            }
            add(&raw mut (*slot).claims, 1_u64.wrapping_neg());
        } else if is_of(open, tid, frame) {
            // Equal frames: the outer function reached the inner by a tail call, which leaves it no frame.
            if nestable && point(open) != new.point && open as u32 >= frame {
                return false;
            }
            crate::lost::count(lost::MISSED_RETURN);
            occupy::<C>(slot, id, &new);
            return true;
        }
    }
    let kept = u64::from(new.flags) << 32 | u64::from(new.stack);
    displace(id, new.arg, kept, lane << 1 | u32::from(nestable)) != 0
}

/// Puts a call into the hash, since its slot is taken. Returns 0 if it is nested in another. A global function: what is
/// rare must not make every program longer.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn displace(id: u64, arg: u64, kept: u64, what: u32) -> u32 {
    let (lane, nestable) = (what >> 1, what & 1 != 0);
    let new = Span {
        flags: (kept >> 32) as u32,
        stack: kept as u32,
        ..Span::new(point(id), arg, UNKNOWN)
    };
    let entry = span::enter(&DISPLACED, lane, nestable, id as u32, new);
    if entry == Entry::New
        && let Some(slot) = SLOTS.get_ptr_mut(slot(tid(id), lane))
    {
        // SAFETY: a map value.
        unsafe { add(&raw mut (*slot).displaced, 1) };
    }
    u32::from(entry != Entry::Nested)
}

/// # Safety
/// A slot of the map.
#[inline(always)]
unsafe fn displaced(slot: *const Slot) -> bool {
    // SAFETY: the caller vouches for it.
    unsafe { (&raw const (*slot).displaced).read_volatile() != 0 }
}

/// # Safety
/// The slot is the current thread's.
#[inline(always)]
unsafe fn occupy<C: Call>(slot: *mut Slot, id: u64, new: &Span) {
    // SAFETY: a map value, which nobody else writes.
    unsafe {
        if !C::ARGS_AT_RETURN {
            (*slot).arg = new.arg;
            (*slot).flags = new.flags;
            (*slot).stack = new.stack;
        }
        (&raw mut (*slot).id).write_volatile(id);
        // Last, so that our own work is not measured.
        (*slot).start = now();
    }
}

/// Whether what is in a slot is a call of a thread, on the stack that a frame lies on: an interrupt borrows the thread.
#[inline(always)]
fn is_of(open: u64, thread: u32, frame: u32) -> bool {
    open != 0 && tid(open) == thread && (open as u32 ^ frame) >> STACK_POWER == 0
}

/// Ends a call, and forgets it.
#[inline(always)]
pub fn exit<C: Call>(lane: u32, nestable: bool, call: &C, point: u32) -> Return {
    // Taken first, so that our own work is not measured.
    let now = now();
    let (tid, frame) = (current(), call.frame());
    let Some(slot) = SLOTS.get_ptr_mut(slot(tid, lane)) else {
        return Return::Unmatched;
    };
    // SAFETY: as in `enter`.
    unsafe {
        let open = (&raw const (*slot).id).read_volatile();
        if id(tid, point, frame).wrapping_sub(open) <= u64::from(FRAME_SLACK) {
            let mut span = Span::new(point, 0, 0);
            if !C::ARGS_AT_RETURN {
                span.arg = (*slot).arg;
                span.flags = (*slot).flags;
                span.stack = (*slot).stack;
            }
            let ns = now.saturating_sub((*slot).start);
            (&raw mut (*slot).id).write_volatile(0);
            add(&raw mut (*slot).claims, 1_u64.wrapping_neg());
            return Return::Of(span, ns);
        }
        if nestable && is_of(open, tid, frame) && frame <= (open as u32).wrapping_add(FRAME_SLACK) {
            return Return::Nested;
        }
        if !displaced(slot) {
            crate::lost::count(lost::UNMATCHED_RETURN);
            return Return::Unmatched;
        }
        let found = span::exit(&DISPLACED, lane, nestable, frame, point, now);
        if let Return::Of(..) = found {
            add(&raw mut (*slot).displaced, 1_u64.wrapping_neg());
        }
        found
    }
}

/// Whether a call, given by where its frame lies, is made from inside a remembered one of the lane.
#[inline(always)]
pub fn inside(lane: u32, frame: u32) -> bool {
    let tid = current();
    let Some(slot) = SLOTS.get_ptr_mut(slot(tid, lane)) else {
        return false;
    };
    // SAFETY: as in `enter`.
    unsafe {
        let open = (&raw const (*slot).id).read_volatile();
        is_of(open, tid, frame) && open as u32 >= frame
            || displaced(slot) && span::inside(&DISPLACED, lane, frame)
    }
}
