//! Calls, told one by one.

use aya_ebpf::{helpers::bpf_get_smp_processor_id, macros::map, maps::RingBuf};
use daxscope_common::session::{Event, RING, lost};

use super::{SESSION_CALLS, count_lost};

#[map]
static SESSION_EVENTS: RingBuf = RingBuf::with_byte_size(RING, 0);

/// Tells an open call, or with [`PART`] in `what` pages of it; the rest of `what` is the slot of the geometry.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn session_emit(open: u64, device: u64, n: u64, what: u32) -> u32 {
    let Some(call) = SESSION_CALLS.get_ptr_mut(open) else {
        return 0;
    };
    let Some(mut room) = SESSION_EVENTS.reserve::<Event>(0) else {
        return count_lost(lost::EVENT);
    };
    let event = room.as_mut_ptr();
    let is_part = what & PART != 0;
    // SAFETY: room for one event; the call is of the current thread.
    unsafe {
        (*event).call = *call;
        (*event).call.device = device;
        (*event).call.geometry = what & (PART - 1);
        if is_part {
            (*event).call.pages = n;
        }
        (*event).cpu = bpf_get_smp_processor_id();
        (*event).part = u32::from(is_part);
    }
    room.submit(0);
    0
}
/// Added to the slot of a geometry.
pub const PART: u32 = 1 << 8;
