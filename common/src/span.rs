//! A call in flight: what an entry program leaves for the exit program of the same call.

use crate::pod;

/// Slots for calls in flight in GUP, a power of two: two for a thread, by [`slot`].
pub const GUP_SLOTS: u32 = 8192;
/// Calls in flight in GUP whose slot was taken; a sleeping fault holds one, and so does each waiting io worker.
pub const GUP_IN_FLIGHT: u32 = 16384;
/// Calls in flight in the memremap and vmemmap rooms; regions come up one after the other.
pub const REGION_IN_FLIGHT: u32 = 1024;

/// Kernel stacks are 16 KiB and aligned to that (`THREAD_SIZE`, `IRQ_STACK_SIZE`, `page_64_types.h`); in bits.
pub const STACK_POWER: u32 = 14;

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

/// A call in flight in GUP, in the slot of its thread. On a cache line of its own: what one CPU does costs no other.
///
/// Who finds [`id`](Self::id) 0 adds 1 to [`claims`](Self::claims), and owns the slot if that made it 1; if not, takes
/// the 1 back and goes to the hash. So two threads that share a slot never both own it, with no more than an addition,
/// which is all that Linux 5.10 lets a program do atomically.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub claims: u64,
    /// What call it is ([`id`]); 0 if the slot is free.
    pub id: u64,
    /// `bpf_ktime_get_ns` at entry.
    pub start: u64,
    /// As in [`Span`]: where the return does not show the arguments.
    pub arg: u64,
    pub flags: u32,
    pub stack: u32,
    /// Calls that went to the hash instead, and are still there: while it is 0, nobody needs to look.
    pub displaced: u64,
    pub pad: [u64; 2],
}
const _: () = assert!(size_of::<Slot>() == 64);
pod!(Slot);

/// What tells a call in a slot: its thread, its point and where its frame lies. Never 0. A thread id has at most 22 bits
/// (`PID_MAX_LIMIT`, include/linux/threads.h), a point five.
#[expect(clippy::inline_always, reason = "used by eBPF programs")]
#[inline(always)]
#[must_use]
pub const fn id(tid: u32, point: u32, frame: u32) -> u64 {
    ((point << POINT_SHIFT | tid) as u64) << 32 | frame as u64
}
const POINT_SHIFT: u32 = 27;
const _: () = assert!(crate::point::POINTS <= 1 << (u32::BITS - POINT_SHIFT));

/// The thread of an [`id`].
#[expect(clippy::inline_always, reason = "used by eBPF programs")]
#[inline(always)]
#[must_use]
pub const fn tid(id: u64) -> u32 {
    (id >> 32) as u32 & ((1 << POINT_SHIFT) - 1)
}

/// The point of an [`id`].
#[expect(clippy::inline_always, reason = "used by eBPF programs")]
#[inline(always)]
#[must_use]
pub const fn point(id: u64) -> u32 {
    (id >> 32) as u32 >> POINT_SHIFT
}

/// The slot of a thread, in a lane (0 or 1).
#[expect(clippy::inline_always, reason = "used by eBPF programs")]
#[inline(always)]
#[must_use]
pub const fn slot(tid: u32, lane: u32) -> u32 {
    (tid << 1 | lane) & (GUP_SLOTS - 1)
}
