//! Stacks of callers, kept in a map and told by a number.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_get_stackid;
use daxscope_common::holders::{CUT, NO_STACK};

use crate::call::Call;

/// `-EEXIST`: another stack has the place in the map (`__bpf_get_stackid`, kernel/bpf/stackmap.c: a hash of the addresses).
const TAKEN: i64 = -17;
/// `BPF_F_SKIP_FIELD_MASK`: how many of the innermost frames are left out.
const SKIP_ONE: u64 = 1;

/// The number of the stack that a call is made from, or [`NO_STACK`]. `map` is a map of stacks.
#[inline(always)]
pub fn number(call: &impl Call, map: *mut c_void, flags: u64) -> u32 {
    // SAFETY: the context of the program, and a map of stacks.
    let get = |flags| unsafe { bpf_get_stackid(call.context(), map, flags) };
    match get(flags) {
        // Without its innermost frame it has another place.
        TAKEN => match get(flags | SKIP_ONE) {
            number if number < 0 => NO_STACK,
            number => number as u32 | CUT,
        },
        number if number < 0 => NO_STACK,
        number => number as u32,
    }
}
