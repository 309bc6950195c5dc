//! Whether the process that pinned is still the one that has its number.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use crate::kernel::clock;

/// `PROC_PID_INIT_INO` (`include/linux/proc_ns.h`): elsewhere processes have other numbers than those that programs in
/// the kernel see.
const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;

/// Whether a process that existed at a time of `CLOCK_MONOTONIC`, in ns, still runs; `None` where that cannot be told.
#[must_use]
pub fn alive(pid: u32, at: u64) -> Option<bool> {
    if !numbers_are_the_kernels() {
        return None;
    }
    let signalled = i32::try_from(pid).ok()?;
    // SAFETY: signal 0 only asks.
    let asked = unsafe { libc::kill(signalled, 0) };
    let error = std::io::Error::last_os_error().raw_os_error();
    if asked != 0 && error == Some(libc::ESRCH) {
        return Some(false);
    }
    let (state, started) = read(pid)?;
    // A pid is given again only to a process that started later. Suspended time counts for its start only: that can
    // make a later one look as if it had been there, not the other way round.
    let suspended = clock::boottime().saturating_sub(clock::monotonic());
    let there = started.saturating_mul(tick()) <= at + suspended;
    Some(there && !matches!(state, 'Z' | 'X'))
}

/// Whether processes have the numbers here that programs in the kernel see.
#[must_use]
pub fn numbers_are_the_kernels() -> bool {
    let namespace = fs::metadata("/proc/self/ns/pid");
    namespace.is_ok_and(|namespace| namespace.ino() == FIRST_PID_NAMESPACE)
}

/// When a process started, in ticks after boot; `None` if there is none, or only what is left of one.
#[must_use]
pub fn started(pid: u32) -> Option<u64> {
    let (state, started) = read(pid)?;
    (!matches!(state, 'Z' | 'X')).then_some(started)
}

fn read(pid: u32) -> Option<(char, u64)> {
    let path = Path::new("/proc").join(pid.to_string()).join("stat");
    // The name in it need not be UTF-8.
    state(&String::from_utf8_lossy(&fs::read(path).ok()?))
}

/// State and start, in ticks after boot: columns 3 and 22 (Documentation/filesystems/proc.rst, 1.1). Column 2 is a name with
/// anything in it, in parentheses.
fn state(stat: &str) -> Option<(char, u64)> {
    let (_, columns) = stat.rsplit_once(')')?;
    let mut columns = columns.split_ascii_whitespace();
    let state = columns.next()?.chars().next()?;
    Some((state, columns.nth(18)?.parse().ok()?))
}

/// Of the clock that processes' starts are told by, in ns.
fn tick() -> u64 {
    // SAFETY: no pointers.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    1_000_000_000 / u64::try_from(ticks).unwrap_or(0).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_pretend_to_be_a_state() {
        let columns = "Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        let stat = format!("42 (x) R 1 (y) {columns}");
        assert_eq!(state(&stat), Some(('Z', 4711)));
        assert_eq!(state("42 (x) R 1"), None);
    }

    #[test]
    fn a_process_is_alive_if_it_was_there_at_that_time() {
        if alive(std::process::id(), 0).is_none() {
            println!("skipped: not in the first pid namespace");
            return;
        }
        let now = clock::monotonic();
        assert_eq!(alive(std::process::id(), now), Some(true));
        // It has this number only since it started.
        assert_eq!(alive(std::process::id(), 0), Some(false));
        let mut child = std::process::Command::new("true").spawn().expect("a child");
        let pid = child.id();
        // SAFETY: waits for the child to be dead, and leaves it a zombie.
        unsafe {
            let mut info = std::mem::zeroed();
            libc::waitid(
                libc::P_PID,
                pid,
                &raw mut info,
                libc::WEXITED | libc::WNOWAIT,
            );
        }
        assert_eq!(alive(pid, clock::monotonic()), Some(false), "a zombie");
        child.wait().expect("its end");
        assert_eq!(alive(pid, clock::monotonic()), Some(false));
        assert_eq!(alive(0, now), None, "no process");
    }
}
