//! A session: calls grouped, or told one by one, as long as somebody looks.

use crate::{geometry::UNKNOWN, hist::fine, holders::NO_STACK, pod};

/// What a session wants, as constants for the verifier.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// 1 if there is one: then the programs count for it, and not for the daemon.
    pub on: u32,
    /// By which members of [`Key`] groups are told apart: [`Key::COMM`] and its kin.
    pub by: u32,
    /// 1 if each call is told by itself, instead of being grouped.
    pub events: u32,
    /// Which of the [`Wanted`] matter: bits of [`Wanted::PID`] and its kin.
    pub wanted: u32,
    /// 1 if only requests with `FOLL_LONGTERM` are wanted.
    pub longterm: u32,
    /// Geometry slots that are wanted, a bit each.
    pub geometries: u32,
    /// 1 if the kernel's stack is to be kept of each call.
    pub kstack: u32,
    /// 1 if the user's is.
    pub ustack: u32,
    /// Calls that are wanted took at least so long; nanoseconds.
    pub min_ns: u64,
    /// Calls that are wanted returned at least so many pages.
    pub min_pages: u64,
    /// Points that are wanted, a bit each: others may be watched for the sake of these, which they call or are called by.
    pub points: u32,
    pub pad: u32,
    /// `struct task_struct.pid`, in bytes.
    pub task_pid: u32,
    /// 1 if what one process and its descendants do is wanted, and nothing else.
    pub tree: u32,
    /// Physical addresses, the first and the last, that devices span which are wanted; [`NOWHERE`] where there is no further
    /// one. Only what [`Key::device`] says is compared.
    pub devices: [[u64; 2]; DEVICES],
}
const _: () = assert!(size_of::<Session>() == 64 + 16 * DEVICES);

const _: () = assert!(crate::point::POINTS <= u32::BITS as usize);

/// Ranges of devices that can be wanted.
pub const DEVICES: usize = 8;
/// In place of the range of a device that is wanted: none.
pub const NOWHERE: [u64; 2] = [1, 0];

impl Session {
    /// None.
    pub const OFF: Self = Self {
        on: 0,
        by: 0,
        events: 0,
        wanted: 0,
        longterm: 0,
        geometries: 0,
        kstack: 0,
        ustack: 0,
        min_ns: 0,
        min_pages: 0,
        points: 0,
        pad: 0,
        task_pid: 0,
        tree: 0,
        devices: [NOWHERE; DEVICES],
    };
}

/// What tells a group. Members that nobody asked for are 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Name of the thread, 16 bytes.
    pub comm: [u64; 2],
    /// Inode number of the cgroup (v2).
    pub cgroup: u64,
    /// Where the first range of the pagemap starts in physical memory; or [`Key::SYSTEM`], [`Key::UNKNOWN`].
    pub device: u64,
    pub pid: u32,
    pub tgid: u32,
    /// Numbers of stacks, or [`NO_STACK`](crate::holders::NO_STACK).
    pub kstack: u32,
    pub ustack: u32,
    /// Number of the point; [`Key::REST`] in the group of all that did not fit.
    pub point: u32,
    /// Slot of the geometry.
    pub geometry: u32,
    pub errno: u32,
    /// 1 for requests with `FOLL_LONGTERM`.
    pub longterm: u32,
}
const _: () = assert!(size_of::<Key>() == 64);

impl Key {
    pub const COMM: u32 = 1;
    pub const CGROUP: u32 = 1 << 1;
    pub const DEVICE: u32 = 1 << 2;
    pub const PID: u32 = 1 << 3;
    pub const TGID: u32 = 1 << 4;
    pub const KSTACK: u32 = 1 << 5;
    pub const USTACK: u32 = 1 << 6;
    pub const POINT: u32 = 1 << 7;
    pub const GEOMETRY: u32 = 1 << 8;
    pub const ERRNO: u32 = 1 << 9;
    pub const LONGTERM: u32 = 1 << 10;
    /// Those that tell whose call it is: all that an event needs of its key.
    pub const TASK: u32 = Self::COMM | Self::CGROUP | Self::PID | Self::TGID;

    /// In place of a device: memory of the system.
    pub const SYSTEM: u64 = 0;
    /// In place of a device: it cannot be told, or there are no pages.
    pub const UNKNOWN: u64 = u64::MAX;
    /// In place of a point.
    pub const REST: u32 = u32::MAX;

    /// Of what did not fit.
    pub const OF_REST: Self = Self {
        point: Self::REST,
        ..Self::ZERO
    };
    pub const ZERO: Self = Self {
        comm: [0; 2],
        cgroup: 0,
        device: 0,
        pid: 0,
        tgid: 0,
        kstack: 0,
        ustack: 0,
        point: 0,
        geometry: 0,
        errno: 0,
        longterm: 0,
    };
}

/// What is counted of a group, on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub calls: u64,
    pub pages: u64,
    /// Of the calls, those that failed.
    pub errors: u64,
    /// Of the calls, those with pages of which some are counted as their neighbours are.
    pub sampled: u64,
    /// Nanoseconds inside the calls that were timed, and in the longest.
    pub ns: u64,
    pub max_ns: u64,
}
const _: () = assert!(size_of::<Counts>() == 48);

impl Counts {
    pub const ZERO: Self = Self {
        calls: 0,
        pages: 0,
        errors: 0,
        sampled: 0,
        ns: 0,
        max_ns: 0,
    };
}

/// Calls of a group that were timed, by their duration. Shared by all CPUs, or a group would cost 2 KiB on each.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durations {
    pub slots: [u64; fine::SLOTS],
}
const _: () = assert!(size_of::<Durations>() == 8 * fine::SLOTS);

impl Durations {
    pub const ZERO: Self = Self {
        slots: [0; fine::SLOTS],
    };
}

/// A value that a call must have.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub kind: u32,
    pub pad: u32,
    pub value: [u64; 2],
}
const _: () = assert!(size_of::<Wanted>() == 24);

impl Wanted {
    /// The number of a process or of a thread.
    pub const PID: u32 = 1;
    /// Name of a thread, 16 bytes.
    pub const COMM: u32 = 1 << 1;
    pub const CGROUP: u32 = 1 << 2;
    /// Not by value, but by [`Session::devices`].
    pub const DEVICE: u32 = 1 << 3;
}

/// A call that is being counted.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The group of what is being counted of it.
    pub key: Key,
    /// When it ended, by `bpf_ktime_get_ns`; with the thread, this tells it.
    pub at: u64,
    /// Nanoseconds inside; `u64::MAX` if that is not known.
    pub ns: u64,
    /// The first user address; 0 where there is none.
    pub address: u64,
    /// Pages asked for.
    pub asked: u64,
    /// Pages returned.
    pub pages: u64,
    /// Of the first page: as in [`Key`], and how many pages with it are of the same pagemap.
    pub device: u64,
    pub first: u64,
    /// The same of the part that was counted last.
    pub last_device: u64,
    pub last: u64,
    pub geometry: u32,
    /// How many parts its pages are in: those that follow each other and are of one pagemap are one.
    pub parts: u32,
    pub point: u32,
    pub errno: u32,
    pub longterm: u32,
    pub sampled: u32,
    pub kstack: u32,
    pub ustack: u32,
    /// 1 if any part is of memory that is wanted.
    pub wanted: u32,
    pub last_geometry: u32,
}
const _: () = assert!(size_of::<Call>() == 64 + 112);

impl Call {
    /// Nothing is known of it.
    pub const NEW: Self = Self {
        key: Key::ZERO,
        at: 0,
        ns: u64::MAX,
        address: 0,
        asked: 0,
        pages: 0,
        device: Key::UNKNOWN,
        first: 0,
        last_device: 0,
        last: 0,
        geometry: UNKNOWN,
        parts: 0,
        point: 0,
        errno: 0,
        longterm: 0,
        sampled: 0,
        kstack: NO_STACK,
        ustack: NO_STACK,
        wanted: 0,
        last_geometry: 0,
    };
}

/// What the ring carries: a call, and before it, if it has several, its parts. Parts may come of a call that does not: one that
/// is not wanted after all.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// With all of its key; of a part, `pages` of its `device` and `geometry`.
    pub call: Call,
    pub cpu: u32,
    /// 1 if this is a part.
    pub part: u32,
}
const _: () = assert!(size_of::<Event>() == 64 + 112 + 8);
pod!(Session, Key, Counts, Durations, Wanted, Call, Event);

/// Groups that are told apart; further ones are counted as one.
pub const GROUPS: u32 = 4096;
/// Stacks that are told apart.
pub const STACKS: u32 = 4096;
/// Calls that are counted at one time.
pub const CALLS: u32 = 10_240;
/// Values that may be wanted.
pub const WANTED: u32 = 1024;
/// Processes and threads of a command that may live at one time, and some that have ended.
pub const TREE: u32 = 65_536;
/// Bytes of the ring, a power of two: some ten thousand events.
pub const RING: u32 = 1 << 21;

/// What can get lost in a session only: the index into the `SESSION_LOST` map.
pub mod lost {
    /// A call that could not be noted while it was counted: it is missing.
    pub const CALL: u32 = 0;
    /// A group that did not fit: its calls are in the group of the rest.
    pub const GROUP: u32 = 1;
    /// An event, or a part of one, that the ring had no room for.
    pub const EVENT: u32 = 2;
    /// A kernel stack or a user stack that could not be kept, of a call that was counted.
    pub const KSTACK: u32 = 3;
    pub const USTACK: u32 = 4;
    /// A process of the command's that could not be noted: what it does is missing.
    pub const TREE: u32 = 5;

    /// What people read, in the order of the indices.
    pub const NAMES: [&str; 6] = ["call", "group", "event", "kstack", "ustack", "tree"];
}
