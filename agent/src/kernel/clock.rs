//! The kernel's clocks, in nanoseconds.

/// The clock of `bpf_ktime_get_ns`.
#[must_use]
pub fn monotonic() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// The same, with the time that the machine was suspended: the clock of when processes started.
#[must_use]
pub fn boottime() -> u64 {
    read(libc::CLOCK_BOOTTIME)
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is room for the answer. Both clocks exist on every Linux, so this does not fail.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
