//! Who holds pins on device memory now, as the programs of room gup noted it: only with `run --track-holders`.

use anyhow::Result;

use crate::load::Probes;

/// Pins that one process took at one place in the kernel on the pages of one pagemap, and has not given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Address of the pagemap in the kernel: a key, never shown.
    pub pgmap: u64,
    /// Pages still pinned.
    pub pages: u64,
    /// What people call the pid.
    pub tgid: u32,
    /// Name of the task that pinned, ended by a zero byte if it is shorter; the task chose it.
    pub comm: [u8; 16],
    /// The entry into GUP: `daxscope_common::point`.
    pub point: u32,
    /// Return addresses in the kernel, innermost first; empty if unknown. Never shown but as symbols.
    pub stack: Vec<u64>,
    /// When the oldest of them was taken: `CLOCK_MONOTONIC`, ns.
    pub since: u64,
}

/// One for each pagemap, process, entry and stack.
///
/// # Errors
/// When the maps cannot be read.
pub fn read(_probes: &Probes) -> Result<Vec<Hold>> {
    Ok(vec![])
}
