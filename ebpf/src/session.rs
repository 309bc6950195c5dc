//! A session: what rooms see is counted by groups that somebody chose, or told call by call (`common/src/session.rs`). Off in
//! a daemon, where the verifier removes it all.
//!
//! A call is opened when it may be wanted, gets its parts (the pages of each pagemap), and is closed with its result. In
//! between it is in a map, by its thread: parts are found deep inside of other functions. Of what a function is called with, a
//! kretprobe sees nothing, so by kprobe a call is opened at its entry; by fexit, at its return.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{BPF_F_USER_STACK, BPF_NOEXIST},
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_smp_processor_id,
        generated::{bpf_get_current_cgroup_id, bpf_get_stackid},
    },
    macros::map,
    maps::{HashMap, PerCpuArray, PerCpuHashMap, RingBuf, StackTrace},
};
use daxscope_common::{
    hist::fine,
    holders::NO_STACK,
    session::{
        CALLS, Call as Open, Counts, DEVICES, Durations, Event, GROUPS, Key, RING, STACKS, Session,
        TREE, WANTED, Wanted,
        lost::{self, NAMES},
    },
};

use crate::{
    call::Call,
    field::word,
    hist::add,
    memremap,
    page::{NO_PAGEMAP, is_pagemap, pagemap_geometry},
    span::{self, UNSEEN},
};

/// Set by the agent before load.
#[unsafe(no_mangle)]
pub static SESSION: Session = Session::OFF;

#[map]
static SESSION_GROUPS: PerCpuHashMap<Key, Counts> = PerCpuHashMap::with_max_entries(GROUPS, 0);
#[map]
static SESSION_DURATIONS: HashMap<Key, Durations> = HashMap::with_max_entries(GROUPS, 0);
#[map]
static SESSION_CALLS: HashMap<u64, Open> = HashMap::with_max_entries(CALLS, 0);
#[map]
static SESSION_WANTED: HashMap<Wanted, u32> = HashMap::with_max_entries(WANTED, 0);
/// Threads of a command, by number; of them those count that are processes.
#[map]
static SESSION_TREE: HashMap<u32, u32> = HashMap::with_max_entries(TREE, 0);
#[map]
static SESSION_KSTACKS: StackTrace = StackTrace::with_max_entries(STACKS, 0);
#[map]
static SESSION_USTACKS: StackTrace = StackTrace::with_max_entries(STACKS, 0);
#[map]
static SESSION_EVENTS: RingBuf = RingBuf::with_byte_size(RING, 0);
#[map]
static SESSION_LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(NAMES.len() as u32, 0);

/// Reads one field of [`SESSION`].
macro_rules! session {
    ($($field:tt)+) => {
        // SAFETY: a field of a static, aligned and never written by us.
        unsafe { core::ptr::read_volatile(&raw const $crate::session::SESSION.$($field)+) }
    };
}

/// What a call is kept under beside its thread, so that it is not taken for one that it is made from. The rooms of regions
/// use the number of the point.
pub const REQUEST: u32 = 0;
pub const RELEASE: u32 = 1;

/// Whether there is a session.
#[inline(always)]
pub fn on() -> bool {
    session!(on) != 0
}

/// Opens a call, if it is one of a task that is wanted.
#[inline(always)]
pub fn open(call: &impl Call, lane: u32, point: u32, address: u64, asked: u64) {
    if session_wanted_task() == 0 {
        return;
    }
    let place = span::key(lane, call.frame());
    let inserted = SESSION_CALLS.insert(place, &NEW, 0);
    let (Ok(()), Some(open)) = (inserted, SESSION_CALLS.get_ptr_mut(place)) else {
        count_lost(lost::CALL);
        return;
    };
    let stack = |wanted: u32, map: &StackTrace, flags: u32| {
        if wanted == 0 {
            return NO_STACK;
        }
        let map = core::ptr::from_ref(map).cast_mut().cast::<c_void>();
        // SAFETY: the context of the program, and a map of stacks.
        let id = unsafe { bpf_get_stackid(call.context(), map, u64::from(flags)) };
        if id < 0 { NO_STACK } else { id as u32 }
    };
    let kstack = stack(session!(kstack), &SESSION_KSTACKS, 0);
    let ustack = stack(session!(ustack), &SESSION_USTACKS, BPF_F_USER_STACK);
    // SAFETY: a map value, of the current thread.
    unsafe {
        (*open).address = address;
        (*open).asked = asked;
        (*open).point = point;
        (*open).kstack = kstack;
        (*open).ustack = ustack;
    }
    fill(open);
}

static NEW: Open = Open::NEW;

/// Whether a call is open.
#[inline(always)]
pub fn is_open(lane: u32, frame: u32) -> bool {
    SESSION_CALLS.get_ptr_mut(span::key(lane, frame)).is_some()
}

/// Notes the result of a call, before its parts. Returns 0, with the call forgotten, if that is not wanted, or was not open.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn session_settle(
    lane_frame: u64,
    at: u64,
    ns: u64,
    result: u64,
    longterm: u32,
) -> u32 {
    let key = span::key((lane_frame >> 32) as u32, lane_frame as u32);
    let Some(call) = SESSION_CALLS.get_ptr_mut(key) else {
        return 0;
    };
    let result = result as i64;
    let pages = if result > 0 { result as u64 } else { 0 };
    let too_quick = session!(min_ns) > 0 && (ns == UNSEEN || ns < session!(min_ns));
    if too_quick || pages < session!(min_pages) || session!(longterm) != 0 && longterm == 0 {
        let _ = SESSION_CALLS.remove(key);
        return 0;
    }
    // SAFETY: a map value, of the current thread.
    unsafe {
        (*call).at = at;
        (*call).ns = ns;
        (*call).pages = pages;
        (*call).errno = if result < 0 {
            result.wrapping_neg() as u32
        } else {
            0
        };
        (*call).longterm = longterm;
        if session!(by) & Key::ERRNO != 0 {
            (*call).key.errno = (*call).errno;
        }
        if session!(by) & Key::LONGTERM != 0 {
            (*call).key.longterm = longterm;
        }
    }
    1
}

/// Where a call is kept, in one number: a global function takes five.
#[inline(always)]
pub fn place(lane: u32, frame: u32) -> u64 {
    u64::from(lane) << 32 | u64::from(frame)
}

/// Counts pages of a call that are of one pagemap, given by its address or what [`crate::page`] has in place of one.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn session_part(place: u64, pgmap: u64, n: u64) -> u32 {
    session_part_of(place, device(pgmap), pagemap_geometry(pgmap), n)
}

/// As [`session_part`], of a device and the slot of its geometry.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn session_part_of(place: u64, device: u64, geometry: u32, n: u64) -> u32 {
    let key = span::key((place >> 32) as u32, place as u32);
    let Some(call) = SESSION_CALLS.get_ptr_mut(key) else {
        return 0;
    };
    let wanted = session_wanted_memory(device, geometry);
    // SAFETY: a map value, of the current thread.
    let parts = unsafe {
        (*call).parts += 1;
        (*call).wanted |= wanted;
        (*call).parts
    };
    if parts == 1 {
        // SAFETY: as above.
        unsafe {
            (*call).device = device;
            (*call).geometry = geometry;
            (*call).first = n;
        }
    }
    if session!(events) == 0 {
        return if n == 0 || wanted == 0 {
            0
        } else {
            session_count(key, device, geometry, n, 0)
        };
    }
    // A call of one part tells it itself.
    if parts == 2 {
        // SAFETY: as above.
        let (device, geometry, first) =
            unsafe { ((*call).device, (*call).geometry, (*call).first) };
        session_emit(key, device, first, PART | geometry);
    }
    if parts > 1 {
        session_emit(key, device, n, PART | geometry);
    }
    0
}

/// Opens a call of one of the rooms of regions, by what is known of its memory at its entry: at the return of some that is gone.
#[inline(always)]
pub fn enter(call: &impl Call, point: u32, pgmap: u64, geometry: u32, asked: u64) {
    open(call, point, point, 0, asked);
    if let Some(open) = SESSION_CALLS.get_ptr_mut(span::key(point, call.frame())) {
        // SAFETY: a map value, of the current thread.
        unsafe {
            (*open).device = device(pgmap);
            (*open).geometry = geometry;
        }
    }
}

/// Closes such a call: `result` struct pages, or a negated errno.
#[inline(always)]
pub fn leave(call: &impl Call, point: u32, result: i64, ns: u64) {
    let frame = call.frame();
    let place = place(point, frame);
    if session_settle(place, span::now(), ns, result as u64, 0) == 0 {
        return;
    }
    if result > 0
        && let Some(open) = SESSION_CALLS.get_ptr_mut(span::key(point, frame))
    {
        // SAFETY: a map value, of the current thread.
        let (device, geometry) = unsafe { ((*open).device, (*open).geometry) };
        session_part_of(place, device, geometry, result as u64);
    }
    session_close(place, 0);
}

/// Where a pagemap's memory starts, as in [`Key`].
#[inline(always)]
fn device(pgmap: u64) -> u64 {
    match pgmap {
        NO_PAGEMAP => Key::SYSTEM,
        _ if is_pagemap(pgmap) => memremap::start(pgmap).unwrap_or(Key::UNKNOWN),
        _ => Key::UNKNOWN,
    }
}

/// Counts a call itself, and forgets it. `sampled` is 1 if not all of its pages were told apart.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn session_close(place: u64, sampled: u32) -> u32 {
    let key = span::key((place >> 32) as u32, place as u32);
    let Some(call) = SESSION_CALLS.get_ptr_mut(key) else {
        return 0;
    };
    // SAFETY: a map value, of the current thread.
    let (device, geometry, parts, wanted) = unsafe {
        (*call).sampled = sampled;
        (
            (*call).device,
            (*call).geometry,
            (*call).parts,
            (*call).wanted,
        )
    };
    // Of a call without pages nothing is known but that.
    let first = session_wanted_memory(device, geometry);
    if session!(events) == 0 {
        if first != 0 {
            session_count(key, device, geometry, 0, 1);
        }
    } else if wanted != 0 || parts == 0 && first != 0 {
        session_emit(key, device, 0, geometry);
    }
    let _ = SESSION_CALLS.remove(key);
    0
}

/// 1 if what the current task does is wanted.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn session_wanted_task() -> u32 {
    let id = bpf_get_current_pid_tgid();
    let (tgid, pid) = ((id >> 32) as u32, id as u32);
    // SAFETY: only whether it is there is asked.
    if session!(tree) != 0 && unsafe { SESSION_TREE.get(tgid) }.is_none() {
        return 0;
    }
    let kinds = session!(wanted);
    if kinds & Wanted::PID != 0
        && !is_wanted(Wanted::PID, [u64::from(tgid), 0])
        && !is_wanted(Wanted::PID, [u64::from(pid), 0])
    {
        return 0;
    }
    if kinds & Wanted::COMM != 0 && !is_wanted(Wanted::COMM, comm()) {
        return 0;
    }
    u32::from(kinds & Wanted::CGROUP == 0 || is_wanted(Wanted::CGROUP, [cgroup(), 0]))
}

/// 1 if pages of a device, and of a geometry, are wanted.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn session_wanted_memory(device: u64, geometry: u32) -> u32 {
    if session!(geometries) >> (geometry & 31) & 1 == 0 {
        return 0;
    }
    if session!(wanted) & Wanted::DEVICE == 0 {
        return 1;
    }
    for i in 0..DEVICES {
        let [first, last] = session!(devices[i]);
        if first <= device && device <= last {
            return 1;
        }
    }
    0
}

#[inline(always)]
fn is_wanted(kind: u32, value: [u64; 2]) -> bool {
    let key = Wanted {
        kind,
        pad: 0,
        value,
    };
    // SAFETY: only whether it is there is asked.
    unsafe { SESSION_WANTED.get(key) }.is_some()
}

#[inline(always)]
fn comm() -> [u64; 2] {
    let bytes = bpf_get_current_comm().unwrap_or([0; 16]);
    // SAFETY: as many bytes, of which any are a number.
    unsafe { core::mem::transmute(bytes) }
}

#[inline(always)]
fn cgroup() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_get_current_cgroup_id() }
}

static NO_COUNTS: Counts = Counts {
    calls: 0,
    pages: 0,
    errors: 0,
    sampled: 0,
    ns: 0,
    max_ns: 0,
};
static NO_DURATIONS: Durations = Durations {
    slots: [0; fine::SLOTS],
};

/// Fills in what of the key of a call is known once it is open; its result comes when that is settled, its memory as that is
/// counted.
#[inline(always)]
fn fill(call: *mut Open) {
    let (by, id) = (session!(by), bpf_get_current_pid_tgid());
    // SAFETY: a map value, of the current thread.
    unsafe {
        let key = &raw mut (*call).key;
        if by & Key::COMM != 0 {
            (*key).comm = comm();
        }
        if by & Key::CGROUP != 0 {
            (*key).cgroup = cgroup();
        }
        if by & Key::PID != 0 {
            (*key).pid = id as u32;
        }
        if by & Key::TGID != 0 {
            (*key).tgid = (id >> 32) as u32;
        }
        if by & Key::KSTACK != 0 {
            (*key).kstack = (*call).kstack;
        }
        if by & Key::USTACK != 0 {
            (*key).ustack = (*call).ustack;
        }
        if by & Key::POINT != 0 {
            (*key).point = (*call).point;
        }
    }
}

/// Adds to the group of an open call: `n` pages of a device and a geometry, and with `calls` 1 the call itself.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn session_count(open: u64, device: u64, geometry: u32, n: u64, calls: u32) -> u32 {
    let Some(call) = SESSION_CALLS.get_ptr_mut(open) else {
        return 0;
    };
    let by = session!(by);
    // SAFETY: a map value, of the current thread.
    let mut key = unsafe {
        if by & Key::DEVICE != 0 {
            (*call).key.device = device;
        }
        if by & Key::GEOMETRY != 0 {
            (*call).key.geometry = geometry;
        }
        &(*call).key
    };
    let counts = match group(key) {
        Some(counts) => counts,
        None => {
            count_lost(lost::GROUP);
            key = &OF_REST;
            match SESSION_GROUPS.get_ptr_mut(key) {
                Some(counts) => counts,
                None => return count_lost(lost::CALL),
            }
        }
    };
    let (kstack, ustack) = (session!(kstack) != 0, session!(ustack) != 0);
    // SAFETY: map values.
    unsafe {
        add(&raw mut (*counts).pages, n);
        if calls == 0 {
            return 0;
        }
        add(&raw mut (*counts).calls, 1);
        if (*call).errno != 0 {
            add(&raw mut (*counts).errors, 1);
        }
        if (*call).sampled != 0 {
            add(&raw mut (*counts).sampled, 1);
        }
        if kstack && (*call).kstack == NO_STACK {
            count_lost(lost::KSTACK);
        }
        if ustack && (*call).ustack == NO_STACK {
            count_lost(lost::USTACK);
        }
        let ns = (*call).ns;
        if ns == UNSEEN {
            return 0;
        }
        add(&raw mut (*counts).ns, ns);
        // On one CPU, so that only a program that is preempted right here could lose one.
        if (*counts).max_ns < ns {
            (*counts).max_ns = ns;
        }
        record(key, ns);
    }
    0
}

static OF_REST: Key = Key::OF_REST;

/// The group of a key, which is made if it is not there; `None` if it does not fit.
#[inline(always)]
fn group(key: &Key) -> Option<*mut Counts> {
    if let Some(counts) = SESSION_GROUPS.get_ptr_mut(key) {
        return Some(counts);
    }
    // Durations first: a group is only used with them. Where another CPU was faster, what that inserted is found.
    let _ = SESSION_DURATIONS.insert(key, &NO_DURATIONS, u64::from(BPF_NOEXIST));
    SESSION_DURATIONS.get_ptr_mut(key)?;
    let _ = SESSION_GROUPS.insert(key, &NO_COUNTS, u64::from(BPF_NOEXIST));
    SESSION_GROUPS.get_ptr_mut(key)
}

#[inline(always)]
fn record(key: &Key, ns: u64) {
    let slot = fine::slot(ns);
    // The verifier cannot follow `slot`; this bound is for it.
    if let Some(durations) = SESSION_DURATIONS.get_ptr_mut(key)
        && slot < fine::SLOTS
    {
        // SAFETY: a map value, and in bounds.
        unsafe { add((&raw mut (*durations).slots).cast::<u64>().add(slot), 1) };
    }
}

/// Tells an open call, or with [`PART`] in `what` pages of it; the rest of `what` is the slot of the geometry.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn session_emit(open: u64, device: u64, n: u64, what: u32) -> u32 {
    let Some(call) = SESSION_CALLS.get_ptr_mut(open) else {
        return 0;
    };
    let Some(mut room) = SESSION_EVENTS.reserve::<Event>(0) else {
        return count_lost(lost::EVENT);
    };
    let event = room.as_mut_ptr();
    let is_part = what & PART != 0;
    // SAFETY: room for one event; the call is of the current thread.
    unsafe {
        (*event).call = *call;
        (*event).call.device = device;
        (*event).call.geometry = what & (PART - 1);
        if is_part {
            (*event).call.pages = n;
        }
        (*event).cpu = bpf_get_smp_processor_id();
        (*event).part = u32::from(is_part);
    }
    room.submit(0);
    0
}
/// Added to the slot of a geometry.
const PART: u32 = 1 << 8;

#[inline(always)]
fn count_lost(what: u32) -> u32 {
    if let Some(counter) = SESSION_LOST.get_ptr_mut(what) {
        // SAFETY: a value of a per-CPU array.
        unsafe { add(counter, 1) };
    }
    0
}

/// Follows the processes of a command: `sched_process_fork` (include/trace/events/sched.h), with the parent, which is the
/// current task, and the child, before that runs. A thread that has ended is not taken out: its number comes back by another
/// fork, which says whose it is then.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp/sched_process_fork")]
extern "C" fn session_fork(ctx: *mut c_void) -> i32 {
    // SAFETY: the tracepoint has two arguments.
    let child = unsafe { *ctx.cast::<u64>().add(1) };
    let Some(pid) = word(child + u64::from(session!(task_pid))) else {
        count_lost(lost::TREE);
        return 0;
    };
    let (parent, child) = ((bpf_get_current_pid_tgid() >> 32) as u32, pid as u32);
    // SAFETY: only whether it is there is asked.
    if unsafe { SESSION_TREE.get(parent) }.is_none() {
        let _ = SESSION_TREE.remove(child);
    } else if SESSION_TREE.insert(child, 1, 0).is_err() {
        count_lost(lost::TREE);
    }
    0
}
