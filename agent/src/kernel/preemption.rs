//! Whether this kernel may take the CPU away from kernel code.

use std::{fmt, fs};

/// The mode chosen at boot or at run time, in debugfs (kernel/sched/debug.c, 5.12).
const MODE: &str = "/sys/kernel/debug/sched/preempt";
/// As `uname -v` prints it; names the build's mode (`init/Makefile`).
const VERSION: &str = "/proc/sys/kernel/version";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preemption {
    No,
    /// It does, or it may: how.
    May(String),
}

impl fmt::Display for Preemption {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::May(how) => write!(f, "may ({how})"),
        }
    }
}

impl Preemption {
    #[must_use]
    pub fn read() -> Self {
        let mode = fs::read_to_string(MODE).ok();
        let version = fs::read_to_string(VERSION).unwrap_or_default();
        mode.as_deref()
            .and_then(chosen)
            .unwrap_or_else(|| built(&version))
    }
}

/// From `none voluntary (full) lazy`.
fn chosen(modes: &str) -> Option<Preemption> {
    let (_, rest) = modes.split_once('(')?;
    let (mode, _) = rest.split_once(')')?;
    Some(match mode {
        "none" | "voluntary" => Preemption::No,
        _ => Preemption::May(mode.into()),
    })
}

/// From `#1 SMP PREEMPT_DYNAMIC Debian 6.12.1-1`; with `PREEMPT_DYNAMIC` any mode may be in force.
fn built(version: &str) -> Preemption {
    let mut words = version.split_ascii_whitespace();
    match words.find(|word| word.starts_with("PREEMPT")) {
        Some(word) => Preemption::May(word.into()),
        None => Preemption::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_mode_is_in_parentheses() {
        assert_eq!(chosen("none (voluntary) full\n"), Some(Preemption::No));
        assert_eq!(
            chosen("full (lazy)\n"),
            Some(Preemption::May("lazy".into()))
        );
        assert_eq!(chosen(""), None);
    }

    #[test]
    fn the_build_names_its_mode() {
        assert_eq!(
            built("#1 SMP Debian 5.10.223-1 (2024-08-10)"),
            Preemption::No
        );
        assert_eq!(
            built("#1 SMP PREEMPT_DYNAMIC Debian 6.12.1-1"),
            Preemption::May("PREEMPT_DYNAMIC".into())
        );
    }
}
