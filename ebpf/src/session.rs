//! A session: what rooms see is counted by groups that somebody chose, or told call by call (`common/src/session.rs`). Off in
//! a daemon, where the verifier removes it all.
//!
//! A call is opened when it may be wanted, gets its parts (the pages of each pagemap), and is closed with its result. In
//! between it is in a map, by its thread: parts are found deep inside of other functions. Of what a function is called with, a
//! kretprobe sees nothing, so by kprobe a call is opened at its entry; by fexit, at its return.

/// Reads one field of [`SESSION`].
macro_rules! session {
    ($($field:tt)+) => {
        // SAFETY: a field of a static, aligned and never written by us.
        unsafe { core::ptr::read_volatile(&raw const $crate::session::SESSION.$($field)+) }
    };
}

mod groups;
mod ring;
mod wanted;

use aya_ebpf::{
    bindings::BPF_F_USER_STACK,
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, generated::bpf_get_current_cgroup_id,
    },
    macros::map,
    maps::{Array, HashMap, PerCpuArray, StackTrace},
};
use daxscope_common::{
    holders::NO_STACK,
    session::{
        CALLS, Call as Open, Key, STACKS, Session,
        lost::{self, NAMES},
    },
};

use self::{
    groups::session_count,
    ring::{PART, session_emit},
    wanted::{session_wanted_memory, session_wanted_task},
};
use crate::{
    call::Call,
    hist::add,
    memremap,
    page::{NO_PAGEMAP, is_pagemap, pagemap_geometry},
    span::{self, UNSEEN},
};

/// Set by the agent before load.
#[unsafe(no_mangle)]
pub static SESSION: Session = Session::OFF;

#[map]
static SESSION_CALLS: HashMap<u64, Open> = HashMap::with_max_entries(CALLS, 0);
/// 1 from when all is attached to when anything is detached: so all functions are watched for the same time, and what is
/// seen of a call by one end only is nobody's.
#[map]
static SESSION_ARMED: Array<u32> = Array::with_max_entries(1, 0);
#[map]
static SESSION_KSTACKS: StackTrace = StackTrace::with_max_entries(STACKS, 0);
#[map]
static SESSION_USTACKS: StackTrace = StackTrace::with_max_entries(STACKS, 0);
#[map]
static SESSION_LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(NAMES.len() as u32, 0);

/// What a call is kept under beside its thread, so that it is not taken for one that it is made from. The rooms of regions
/// use the number of the point.
pub const REQUEST: u32 = 0;
pub const RELEASE: u32 = 1;

/// Whether there is a session.
#[inline(always)]
pub fn on() -> bool {
    session!(on) != 0
}

#[inline(always)]
fn armed() -> bool {
    SESSION_ARMED.get(0) == Some(&1)
}

/// Opens a call, if it is one of a task that is wanted.
#[inline(always)]
pub fn open(call: &impl Call, lane: u32, point: u32, address: u64, asked: u64) {
    if session!(points) >> (point & 31) & 1 == 0 || !armed() || session_wanted_task() == 0 {
        return;
    }
    let place = span::key(lane, call.frame());
    // By reference: a copy does not fit the stack.
    let new = &NEW;
    let inserted = SESSION_CALLS.insert(place, new, 0);
    let (Ok(()), Some(open)) = (inserted, SESSION_CALLS.get_ptr_mut(place)) else {
        count_lost(lost::CALL);
        return;
    };
    let stack = |wanted: u32, map: &StackTrace, flags: u32| {
        if wanted == 0 {
            return NO_STACK;
        }
        let map = core::ptr::from_ref(map).cast_mut().cast();
        crate::stack::number(call, map, u64::from(flags))
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

/// Notes that the time of an open call begins now.
#[inline(always)]
pub fn begin(lane: u32, frame: u32) {
    if let Some(open) = SESSION_CALLS.get_ptr_mut(span::key(lane, frame)) {
        // SAFETY: a map value, of the current thread.
        unsafe { (*open).at = span::now() };
    }
}

/// Nanoseconds from there to a moment; [`UNSEEN`] if it is not open.
#[inline(always)]
pub fn since(lane: u32, frame: u32, now: u64) -> u64 {
    match SESSION_CALLS.get_ptr_mut(span::key(lane, frame)) {
        // SAFETY: a map value, of the current thread.
        Some(open) => now.saturating_sub(unsafe { (*open).at }),
        None => UNSEEN,
    }
}

/// Whether a call is open.
#[inline(always)]
pub fn is_open(lane: u32, frame: u32) -> bool {
    SESSION_CALLS.get_ptr_mut(span::key(lane, frame)).is_some()
}

/// Notes the result of a call, before its parts. Returns 0, with the call forgotten, if that is not wanted, comes too late, or
/// was not open.
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
    let (by, result) = (session!(by), result as i64);
    let pages = if result > 0 { result as u64 } else { 0 };
    let too_quick = session!(min_ns) > 0 && (ns == UNSEEN || ns < session!(min_ns));
    if !armed()
        || too_quick
        || pages < session!(min_pages)
        || session!(longterm) != 0 && longterm == 0
    {
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
        if by & Key::ERRNO != 0 {
            (*call).key.errno = (*call).errno;
        }
        if by & Key::LONGTERM != 0 {
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
    unsafe {
        (*call).wanted |= wanted;
        let parts = (*call).parts;
        if parts != 0 && (*call).last_device == device && (*call).last_geometry == geometry {
            (*call).last += n;
        } else {
            if parts != 0 {
                tell_last(key, call);
            }
            (*call).parts = parts + 1;
            (*call).last_device = device;
            (*call).last_geometry = geometry;
            (*call).last = n;
        }
        if (*call).parts == 1 {
            (*call).device = device;
            (*call).geometry = geometry;
            (*call).first = (*call).last;
        }
    }
    if session!(events) != 0 || n == 0 || wanted == 0 {
        return 0;
    }
    session_count(key, device, geometry, n, 0)
}

/// Tells the part of a call that was counted last, where calls are told one by one.
///
/// # Safety
/// A value of [`SESSION_CALLS`], of the current thread.
#[inline(always)]
unsafe fn tell_last(key: u64, call: *const Open) {
    if session!(events) == 0 {
        return;
    }
    // SAFETY: the caller vouches for it.
    let (device, geometry, last) =
        unsafe { ((*call).last_device, (*call).last_geometry, (*call).last) };
    session_emit(key, device, last, PART | geometry);
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
        // A call of one part tells it itself.
        if parts > 1 {
            // SAFETY: a map value, of the current thread.
            unsafe { tell_last(key, call) };
        }
        session_emit(key, device, 0, geometry);
    }
    let _ = SESSION_CALLS.remove(key);
    0
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

#[inline(always)]
fn count_lost(what: u32) -> u32 {
    if let Some(counter) = SESSION_LOST.get_ptr_mut(what) {
        // SAFETY: a value of a per-CPU array.
        unsafe { add(counter, 1) };
    }
    0
}
