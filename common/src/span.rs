//! A call in flight: what an entry program leaves for the exit program of the same call.

use crate::pod;

/// Calls in flight in GUP at one time; a sleeping fault holds one, and so does each waiting io worker.
pub const GUP_IN_FLIGHT: u32 = 16384;
/// Calls in flight in the memremap and vmemmap rooms; regions come up one after the other.
pub const REGION_IN_FLIGHT: u32 = 1024;

/// One call. `frame` is where its stack frame lies (the low half of the address): it tells a call from the calls
/// nested in it (they lie lower) and from one that the same thread made before (whose return was missed). It stays in
/// the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// `bpf_ktime_get_ns` at entry.
    pub start: u64,
    /// The argument that the exit needs and a kretprobe cannot see.
    pub arg: u64,
    /// Number of the point.
    pub point: u32,
    pub frame: u32,
    /// Slot of the geometry, where it is known at entry.
    pub geometry: u32,
    /// The flags that the call was made with, in room gup.
    pub flags: u32,
    /// The number of the kernel stack at entry, in room gup, where holders are tracked.
    pub stack: u32,
    pub pad: u32,
}
const _: () = assert!(size_of::<Span>() == 40);
pod!(Span);

impl Span {
    /// A call of a point, of which the rest is filled in when it is remembered.
    #[expect(
        clippy::inline_always,
        reason = "used by eBPF programs, in which a call would pass it in memory"
    )]
    #[inline(always)]
    #[must_use]
    pub const fn new(point: u32, arg: u64, geometry: u32) -> Self {
        Self {
            start: 0,
            arg,
            point,
            frame: 0,
            geometry,
            flags: 0,
            stack: 0,
            pad: 0,
        }
    }
}
