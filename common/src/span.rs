//! A call in flight: what an entry program leaves for the exit program of the same call.

use crate::pod;

/// Calls in flight in GUP at one time; a sleeping fault holds one, and so does each waiting io worker.
pub const GUP_IN_FLIGHT: u32 = 16384;
/// Calls in flight in the memremap and vmemmap rooms; regions come up one after the other.
pub const REGION_IN_FLIGHT: u32 = 1024;

/// One call. `frame` is where its stack frame lies: it tells a call from the calls nested in it (they lie
/// lower) and from one that the same thread made before (whose return was missed). It stays in the kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub frame: u64,
    /// `bpf_ktime_get_ns` at entry.
    pub start: u64,
    /// The argument that the exit needs and a kretprobe cannot see.
    pub arg: u64,
    /// Number of the point.
    pub point: u32,
    /// Slot of the geometry, where it is known at entry.
    pub geometry: u32,
}
const _: () = assert!(size_of::<Span>() == 32);
pod!(Span);
