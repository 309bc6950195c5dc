//! Gives each `vmemmap_shift` a slot of the per-geometry arrays when it is first met.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    macros::map,
    maps::{Array, HashMap},
};
use daxscope_common::{
    geometry::{FIRST, SHIFTS, SLOTS, UNKNOWN},
    lost,
};

/// Slot of a shift; 0 while it has none.
#[map]
static GEOMETRY_SLOTS: Array<u32> = Array::with_max_entries(SHIFTS, 0);
/// Shift that owns a slot. A hash, because its insert-if-absent is the one operation that decides a race
/// between two CPUs on every kernel from 5.10.
#[map]
static GEOMETRY_OWNERS: HashMap<u32, u32> = HashMap::with_max_entries(SLOTS as u32, 0);

/// The slot of a `vmemmap_shift`.
#[inline(always)]
pub fn slot(shift: u64) -> u32 {
    let Ok(shift) = u32::try_from(shift) else {
        return UNKNOWN;
    };
    match GEOMETRY_SLOTS.get(shift) {
        None => UNKNOWN,
        Some(&slot) if slot >= FIRST => slot,
        Some(_) => assign(shift),
    }
}

/// Finds the first slot that is free or already this shift's. Runs once for each shift.
#[inline(never)]
fn assign(shift: u32) -> u32 {
    for slot in FIRST..SLOTS as u32 {
        // Fails when the slot has an owner, which the look-up then names.
        let _ = GEOMETRY_OWNERS.insert(slot, shift, u64::from(BPF_NOEXIST));
        // SAFETY: an entry of this map is never removed, and never changed once inserted.
        if unsafe { GEOMETRY_OWNERS.get(slot) } == Some(&shift) {
            if let Some(cached) = GEOMETRY_SLOTS.get_ptr_mut(shift) {
                // SAFETY: a value of an array; all CPUs that come here write the same.
                unsafe { *cached = slot };
            }
            return slot;
        }
    }
    crate::lost::count(lost::GEOMETRY_SLOTS);
    UNKNOWN
}
