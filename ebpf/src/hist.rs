//! Adding to counters and histograms in per-CPU maps.

use core::arch::asm;

use daxscope_common::hist::{self, Hist};

/// Adds to a counter. Atomic although the map is per CPU: a program may be preempted by one that
/// counts into the same slot on the same CPU.
///
/// # Safety
/// `counter` points into a map value.
#[inline(always)]
pub unsafe fn add(counter: *mut u64, n: u64) {
    // By hand, since the Rust target has no atomic addition: it would need the fetching one (Linux 5.12).
    // SAFETY: map values are aligned to 8 bytes; the caller vouches for the rest.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) counter, in(reg) n, options(nostack)) };
}

/// Adds a duration in nanoseconds.
///
/// # Safety
/// `hist` points into a map value.
#[inline(always)]
pub unsafe fn record(hist: *mut Hist, ns: u64) {
    let slot = hist::slot_with(ns, |mut power, step| {
        // SAFETY: arithmetic on registers.
        unsafe { asm!("{0} += {1}", inout(reg) power, in(reg) step, options(nomem, nostack)) };
        power
    });
    // The verifier cannot follow `slot`; this bound is for it.
    if slot < hist::SLOTS {
        // SAFETY: in bounds, and the caller vouches for the map value.
        unsafe {
            add(&raw mut (*hist).sum, ns);
            add((&raw mut (*hist).slots).cast::<u64>().add(slot), 1);
        }
    }
}
