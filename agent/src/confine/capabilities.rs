//! Capabilities: none is needed once all is attached, but on kernels that let nobody without `CAP_BPF` read a map (before
//! c8644cd0efe7, 5.19). Which kind this kernel is, a thread tries.

use std::thread;

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};

use crate::{load::Probes, probes};

/// Drops all that reading the maps can do without.
pub(super) fn drop(probes: &Probes) -> Result<String, String> {
    let none = CapsHashSet::new();
    let bpf = CapsHashSet::from([Capability::CAP_BPF]);
    let (keep, words) = match tried(probes, &none) {
        Ok(()) => (none, "none left"),
        Err(refused) => {
            tried(probes, &bpf).map_err(|still| {
                format!("kept, since the maps cannot be read without: {refused}; with CAP_BPF alone: {still}")
            })?;
            (bpf, "only CAP_BPF left: this kernel reads no map without")
        }
    };
    // Without CAP_SETPCAP it stays as it is, and gives nothing: no_new_privs is set next.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap_or(false) {
        for capability in caps::runtime::thread_all_supported() {
            if !keep.contains(&capability) {
                let dropped = caps::drop(None, CapSet::Bounding, capability);
                dropped.map_err(|error| format!("cannot drop {capability} for good: {error}"))?;
            }
        }
    }
    hold(&keep).map_err(|error| format!("cannot drop capabilities: {error}"))?;
    Ok(words.to_owned())
}

/// Whether a thread that has only these can read what a scrape reads. Capabilities are each thread's own.
fn tried(probes: &Probes, only: &CapsHashSet) -> Result<(), String> {
    thread::scope(|scope| {
        let trial = scope.spawn(|| {
            hold(only).map_err(|error| format!("cannot drop capabilities: {error}"))?;
            probes::readable(probes).map_err(|error| format!("{error:#}"))
        });
        // It cannot panic: a panic ends the process.
        trial
            .join()
            .unwrap_or_else(|_| Err("the trial ended early".into()))
    })
}

/// This thread has `only` these from now on, and hands none on.
fn hold(only: &CapsHashSet) -> Result<(), CapsError> {
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, only)?;
    caps::set(None, CapSet::Permitted, only)
}
