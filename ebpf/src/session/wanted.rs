//! Which calls are wanted: by whose they are, by the memory that they are of.

use core::ffi::c_void;

use aya_ebpf::{helpers::bpf_get_current_pid_tgid, macros::map, maps::HashMap};
use daxscope_common::session::{DEVICES, TREE, WANTED, Wanted, lost};

use super::{cgroup, comm, count_lost};
use crate::field::word;

#[map]
static SESSION_WANTED: HashMap<Wanted, u32> = HashMap::with_max_entries(WANTED, 0);
/// Threads of a command, by number; of them those count that are processes.
#[map]
static SESSION_TREE: HashMap<u32, u32> = HashMap::with_max_entries(TREE, 0);

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
