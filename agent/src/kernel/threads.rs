//! Which threads of the host still exist.

use std::{fs, io};

/// Whether the thread ids in `/proc` are those that the kernel's own programs see: only in the first pid namespace,
/// where a process has one id.
#[must_use]
pub fn visible() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| has_one_id(&status))
}

/// Whether a thread exists. Asked by a signal that is not sent (kill(2)), since a service sees its own processes only in
/// `/proc` (`ProtectProc=`); one that belongs to somebody else answers EPERM.
#[must_use]
pub fn exists(thread: u32) -> bool {
    let Ok(thread) = i32::try_from(thread) else {
        return false;
    };
    // The idle threads all have id 0, which means something else to kill(2).
    // SAFETY: no pointers, and no signal.
    thread == 0
        || unsafe { libc::kill(thread, 0) } == 0
        || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// From the text of `/proc/self/status`.
fn has_one_id(status: &str) -> bool {
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    ids.is_some_and(|ids| ids.split_ascii_whitespace().count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_shows_more_than_one_id() {
        assert!(has_one_id("Pid:\t12\nNSpid:\t12\n"));
        assert!(!has_one_id("Pid:\t1\nNSpid:\t4711\t1\n"));
        assert!(!has_one_id(""));
    }

    #[test]
    fn this_thread_exists() {
        assert!(exists(std::process::id()));
        let of_a_thread = std::thread::spawn(|| {
            // SAFETY: no arguments.
            let own = unsafe { libc::gettid() };
            exists(u32::try_from(own).expect("an id"))
        });
        assert!(of_a_thread.join().expect("no panic"));
        // Above the highest id there can be: PID_MAX_LIMIT is 2^22 (include/linux/threads.h).
        assert!(!exists(1 << 23));
    }
}
