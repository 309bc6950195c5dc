//! Forgets calls whose thread has ended without a return that was seen. A thread that goes on shows such a call itself
//! when it makes its next one; one that has ended never would, and its entry would take room for good.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::{HashMap, Map, MapData},
};
use daxscope_common::span::{GUP_IN_FLIGHT, GUP_SLOTS, STACK_POWER, Slot, Span, slot, tid};

use crate::{kernel::threads, load::Mapping};

/// The requests and releases in flight, and how many were given up.
pub struct InFlight {
    slots: Mapping<Shared>,
    displaced: Mutex<HashMap<MapData, u64, Span>>,
    given_up: AtomicU64,
    /// Whether the threads of the map can be looked up.
    visible: bool,
}

/// What of a [`Slot`] the agent looks at, while programs write it.
#[repr(C, align(64))]
struct Shared {
    claims: AtomicU64,
    id: AtomicU64,
    others: [AtomicU64; 3],
    displaced: AtomicU64,
    pad: [AtomicU64; 2],
}
const _: () = assert!(
    size_of::<Shared>() == size_of::<Slot>()
        && std::mem::offset_of!(Shared, displaced) == std::mem::offset_of!(Slot, displaced)
);

impl InFlight {
    /// Takes the maps out of the object: they alone are written to.
    ///
    /// # Errors
    /// When the object has no such maps, or they cannot be mapped.
    pub fn take(object: &mut Ebpf) -> Result<Self> {
        let map = object.take_map("GUP_SPANS");
        let displaced = map.context("the eBPF object has no map GUP_SPANS")?;
        let Some(Map::Array(slots)) = object.map("GUP_SLOTS") else {
            anyhow::bail!("the eBPF object has no array GUP_SLOTS");
        };
        // SAFETY: atomics, in the shape of the map's value (agent/tests/contract.rs).
        let slots = unsafe { Mapping::of(slots, GUP_SLOTS as usize, true) };
        Ok(Self {
            slots: slots.context("cannot map the calls in flight")?,
            displaced: Mutex::new(displaced.try_into()?),
            given_up: AtomicU64::new(0),
            visible: threads::visible(),
        })
    }

    /// Calls in flight, and how many there is room for.
    pub fn fill(&self) -> (u64, u64) {
        let in_slots = self.slots.get().iter();
        let in_slots = in_slots.filter(|slot| slot.id.load(Relaxed) != 0).count();
        let displaced = self
            .displaced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // The slots know whether there are any, without a system call.
        let displaced = if self.any_displaced() {
            displaced
                .keys()
                .take(GUP_IN_FLIGHT as usize)
                .flatten()
                .count()
        } else {
            0
        };
        (
            (in_slots + displaced) as u64,
            u64::from(GUP_SLOTS) + u64::from(GUP_IN_FLIGHT),
        )
    }

    fn any_displaced(&self) -> bool {
        let slots = self.slots.get();
        slots.iter().any(|slot| slot.displaced.load(Relaxed) != 0)
    }

    /// Gives up the calls of threads that have ended; returns how many that were since the start.
    pub fn sweep(&self) -> u64 {
        if self.visible {
            for slot in self.slots.get() {
                let id = slot.id.load(Relaxed);
                // Fails if somebody else was faster: another sweep, or a new thread of that id whose call ended.
                if id != 0
                    && !threads::exists(tid(id))
                    && slot.id.compare_exchange(id, 0, Relaxed, Relaxed).is_ok()
                {
                    slot.claims.fetch_sub(1, Relaxed);
                    self.given_up.fetch_add(1, Relaxed);
                }
            }
            if self.any_displaced() {
                self.sweep_displaced();
            }
        }
        self.given_up.load(Relaxed)
    }

    fn sweep_displaced(&self) {
        let mut spans = self
            .displaced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // A walk restarts when its current key is removed, hence the bound.
        let keys = spans.keys().take(2 * GUP_IN_FLIGHT as usize);
        let ended: Vec<u64> = keys
            .flatten()
            .filter(|key| !threads::exists(thread(*key)))
            .collect();
        for key in ended {
            // As above.
            if spans.remove(&key).is_ok() {
                let of = slot(thread(key), lane(key)) as usize;
                self.slots.get()[of].displaced.fetch_sub(1, Relaxed);
                self.given_up.fetch_add(1, Relaxed);
            }
        }
    }
}

/// The thread of a key of the hash: the lower half (`span::key` of the kernel side).
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
const fn thread(key: u64) -> u32 {
    key as u32
}

/// The lane of a key of the hash.
const fn lane(key: u64) -> u32 {
    (key >> (u64::BITS - STACK_POWER)) as u32
}
