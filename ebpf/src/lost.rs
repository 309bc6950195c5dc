//! What gets lost is counted, and said through aya-log when the agent was asked for it.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use aya_log_ebpf::warn;
use daxscope_common::lost::NAMES;

use crate::hist::add;

#[map]
static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(NAMES.len() as u32, 0);

/// Counts one loss of a kind (an index of `common::lost`). Not inlined: it is rare, and a log line is long.
#[inline(never)]
pub fn count(what: u32) {
    if let Some(counter) = LOST.get_ptr_mut(what) {
        // SAFETY: a value of a per-CPU array, valid for the run of the program.
        unsafe { add(counter, 1) };
    }
    warn!((), "lost: kind {}", what);
}
