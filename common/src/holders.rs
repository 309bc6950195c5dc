//! Who holds pins on device memory. Filled only if it was asked for.

use crate::pod;

/// Pins are noted by *unit*, which is what the kernel counts them by: a compound page, or a base page that is in none.
/// How many can be noted at one time.
pub const HOLDS: u32 = 131_072;
/// Holders of one unit that are told apart; of a base page, its pins.
pub const SLOTS: u32 = 8;
/// Kernel stacks that are told apart.
pub const STACKS: u32 = 4096;
/// In place of the number of a stack: it could not be kept.
pub const NO_STACK: u32 = u32::MAX;
/// Added to the number of a stack whose innermost frame is left out, since the whole one had no place.
pub const CUT: u32 = 1 << 31;

/// What is noted of a unit, and in which of its slots.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Address of its first `struct page`, which stays in the kernel's and our own memory; plus [`COMPOUND`].
    pub unit: u64,
    pub slot: u32,
    pub pad: u32,
}
const _: () = assert!(size_of::<Key>() == 16);

/// Added to the address of a unit that is a compound page: its slots hold counts, those of a base page one pin each.
pub const COMPOUND: u64 = 1;

/// A holder of a unit.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Address of the pagemap.
    pub pgmap: u64,
    /// When the oldest of the pins was taken, by `bpf_ktime_get_ns`.
    pub since: u64,
    /// Pins; two's complement, since a release may be taken off the wrong holder of the same unit.
    pub pins: u64,
    /// What people call the pid.
    pub tgid: u32,
    /// Number of the entry point.
    pub point: u32,
    /// Number of the kernel stack, or [`NO_STACK`].
    pub stack: u32,
    pub pad: u32,
    /// Name of the task, which it chooses itself.
    pub comm: [u8; 16],
}
const _: () = assert!(size_of::<Hold>() == 56);
pod!(Key, Hold);
