//! What gets lost is counted, and said through aya-log when the agent was asked for it.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use aya_log_ebpf::warn;
use daxscope_common::lost::NAMES;

use crate::hist::add;

#[map]
static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(NAMES.len() as u32, 0);

/// Counts one loss of a kind (an index of `common::lost`).
#[inline(always)]
pub fn count(what: u32) {
    count_lost(what);
}

/// A global function, which the verifier checks once instead of at every call: a log line is long, and walking it at
/// each made loading take minutes. It must return a number.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn count_lost(what: u32) -> u32 {
    if let Some(counter) = LOST.get_ptr_mut(what) {
        // SAFETY: a value of a per-CPU array, valid for the run of the program.
        unsafe { add(counter, 1) };
    }
    warn!((), "lost: kind {}", what);
    0
}
