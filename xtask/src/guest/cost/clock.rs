//! The clock of a guest that runs with `-icount shift=0`: QEMU's time stamp counter is then the number of instructions
//! that all CPUs together have executed (`icount_get`, accel/tcg/icount-common.c), plus what idle CPUs slept.

use std::arch::x86_64::_rdtsc;
use std::io;

use anyhow::{Result, ensure};

/// Instructions since boot.
pub fn now() -> u64 {
    // SAFETY: reads a register; Linux lets every process do that (CR4.TSD is clear).
    unsafe { _rdtsc() }
}

/// Goes on for so many instructions.
pub fn spend(instructions: u64) {
    let begun = now();
    while now() - begun < instructions {}
}

/// Loops of [`check`]: some hundred thousand instructions, so that a timer tick (one in 4 million) seldom falls into one.
const LOOPS: u64 = 2_000;
const TRIES: usize = 33;

/// Whether this clock counts instructions: then most loops of one length take exactly as long as the shortest.
pub fn check() -> Result<()> {
    let one = || {
        let begun = now();
        (0..LOOPS).for_each(|number| {
            std::hint::black_box(number);
        });
        now() - begun
    };
    let mut takes: Vec<u64> = (0..TRIES).map(|_| one()).collect();
    takes.sort_unstable();
    let (least, middle) = (takes[0], takes[TRIES / 2]);
    ensure!(
        middle - least <= least / 1000,
        "the time stamp counter does not count instructions here (the same loop takes {least} and {middle}): start the \
         guest with `cargo xtask vm --icount`"
    );
    Ok(())
}

/// From here on this thread runs on one CPU alone.
pub fn stay_on(cpu: u64) -> Result<()> {
    // SAFETY: a bit mask of integers, for which zero is a value.
    let mut set = unsafe { std::mem::zeroed::<libc::cpu_set_t>() };
    // SAFETY: `cpu` is far below CPU_SETSIZE (1024); the macro checks it too.
    unsafe { libc::CPU_SET(usize::try_from(cpu)?, &mut set) };
    // SAFETY: the mask has the size that is given.
    let rc = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    ensure!(
        rc == 0,
        "cannot stay on CPU {cpu}: {}",
        io::Error::last_os_error()
    );
    Ok(())
}
