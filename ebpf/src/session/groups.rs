//! Calls, added up by groups. Counts are kept by CPU, durations are not: they would take 2 KiB a group on each.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    macros::map,
    maps::{HashMap, PerCpuHashMap},
};
use daxscope_common::{
    hist::fine,
    holders::NO_STACK,
    session::{Counts, Durations, GROUPS, Key, lost},
};

use super::{SESSION_CALLS, count_lost};
use crate::{hist::add, span::UNSEEN};

#[map]
static SESSION_GROUPS: PerCpuHashMap<Key, Counts> = PerCpuHashMap::with_max_entries(GROUPS, 0);
#[map]
static SESSION_DURATIONS: HashMap<Key, Durations> = HashMap::with_max_entries(GROUPS, 0);

static NO_COUNTS: Counts = Counts::ZERO;
static NO_DURATIONS: Durations = Durations::ZERO;

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
    let mut counts = group(key);
    if counts.is_none() {
        count_lost(lost::GROUP);
        key = &OF_REST;
        counts = SESSION_GROUPS.get_ptr_mut(key);
    }
    let Some(counts) = counts else {
        return count_lost(lost::CALL);
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
    // By reference: a copy does not fit the stack.
    let (no_counts, no_durations) = (&NO_COUNTS, &NO_DURATIONS);
    // Durations first: a group is only used with them. Where another CPU was faster, what that inserted is found.
    let _ = SESSION_DURATIONS.insert(key, no_durations, u64::from(BPF_NOEXIST));
    SESSION_DURATIONS.get_ptr_mut(key)?;
    let _ = SESSION_GROUPS.insert(key, no_counts, u64::from(BPF_NOEXIST));
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
