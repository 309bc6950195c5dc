//! What gets lost is counted, and said through aya-log when the agent was asked for it.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use aya_log_ebpf::warn;
use daxscope_common::{
    ERRNOS,
    lost::{MAPS, MapErrors, NAMES},
};

use crate::hist::add;

#[map]
static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(NAMES.len() as u32, 0);

/// By the numbers of `lost::MAPS`.
#[map]
static MAP_ERRORS: PerCpuArray<MapErrors> = PerCpuArray::with_max_entries(MAPS.len() as u32, 0);

/// Counts one insertion into a map (an index of `lost::MAPS`) that failed with a negative errno.
#[inline(always)]
pub fn insert_failed(map: u32, error: i32) {
    count_map_error(map, error.unsigned_abs());
}

/// A global function, as is [`count_lost`]: what goes wrong must not make what goes right longer.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn count_map_error(map: u32, errno: u32) -> u32 {
    if let Some(errors) = MAP_ERRORS.get_ptr_mut(map) {
        // Hidden from the compiler, which would check the lower half; the verifier wants to see the whole checked.
        let errno = core::hint::black_box(u64::from(errno));
        if errno < ERRNOS as u64 {
            // SAFETY: only an address is taken.
            let by_errno = unsafe { &raw mut (*errors).by_errno }.cast::<u64>();
            // SAFETY: a value of a per-CPU array, and in bounds.
            unsafe { add(by_errno.add(errno as usize), 1) };
        }
    }
    0
}

/// Counts one loss of a kind (an index of `common::lost`).
#[inline(always)]
pub fn count(what: u32) {
    count_lost(what, 1);
}

/// Counts several.
#[inline(always)]
pub fn count_many(what: u32, n: u64) {
    count_lost(what, n);
}

/// A global function, which the verifier checks once instead of at every call: a log line is long, and walking it at
/// each made loading take minutes. It must return a number.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn count_lost(what: u32, n: u64) -> u32 {
    if let Some(counter) = LOST.get_ptr_mut(what) {
        // SAFETY: a value of a per-CPU array, valid for the run of the program.
        unsafe { add(counter, n) };
    }
    warn!((), "lost: kind {}", what);
    0
}
