//! Which threads of the host still exist.

use std::{fs, path::Path};

/// Whether the thread ids in `/proc` are those that the kernel's own programs see: only in the first pid namespace,
/// where a process has one id.
#[must_use]
pub fn visible() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| has_one_id(&status))
}

/// Whether a thread exists. The idle threads, all with id 0, do but are not listed.
#[must_use]
pub fn exists(thread: u32) -> bool {
    thread == 0 || Path::new(&format!("/proc/{thread}")).exists()
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
        // Above the highest id there can be: PID_MAX_LIMIT is 2^22 (include/linux/threads.h).
        assert!(!exists(1 << 23));
    }
}
