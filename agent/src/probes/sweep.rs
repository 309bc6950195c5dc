//! Forgets calls whose thread has ended without a return that was seen. A thread that goes on shows such a call itself
//! when it makes its next one; one that has ended never would, and its entry would take room for good.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use daxscope_common::span::{GUP_IN_FLIGHT, Span};

use crate::kernel::threads;

/// The requests and releases in flight, and how many were given up.
pub struct InFlight {
    spans: Mutex<HashMap<MapData, u64, Span>>,
    given_up: AtomicU64,
    /// Whether the threads of the map can be looked up.
    visible: bool,
}

impl InFlight {
    /// Takes the map out of the object: it alone is written to.
    ///
    /// # Errors
    /// When the object has no such map.
    pub fn take(object: &mut Ebpf) -> Result<Self> {
        let map = object.take_map("GUP_SPANS");
        let map = map.context("the eBPF object has no map GUP_SPANS")?;
        Ok(Self {
            spans: Mutex::new(map.try_into()?),
            given_up: AtomicU64::new(0),
            visible: threads::visible(),
        })
    }

    /// Calls in flight, and how many there is room for.
    pub fn fill(&self) -> (u64, u64) {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = spans.keys().take(GUP_IN_FLIGHT as usize).flatten().count();
        (entries as u64, u64::from(GUP_IN_FLIGHT))
    }

    /// Gives up the calls of threads that have ended; returns how many that were since the start.
    pub fn sweep(&self) -> u64 {
        if self.visible {
            let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
            // A walk restarts when its current key is removed, hence the bound.
            let keys = spans.keys().take(2 * GUP_IN_FLIGHT as usize);
            let ended: Vec<u64> = keys.flatten().filter(|key| !exists(*key)).collect();
            for key in ended {
                // Fails if somebody else was faster: another sweep, or a new thread of that id whose call ended.
                if spans.remove(&key).is_ok() {
                    self.given_up.fetch_add(1, Relaxed);
                }
            }
        }
        self.given_up.load(Relaxed)
    }
}

/// Whether the thread of a key exists; its id is the lower half (`span::key` of the kernel side).
fn exists(key: u64) -> bool {
    u32::try_from(key & u64::from(u32::MAX)).is_ok_and(threads::exists)
}
