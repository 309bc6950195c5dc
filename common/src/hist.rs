//! The one histogram: HDR-like, equal slots inside each power of two, upper bounds inclusive.
//!
//! Slot `i` holds the values `bound(i - 1) < v <= bound(i)`, the last slot everything beyond
//! [`MAX`]. Because slots are by *ceil*, a bound is exactly a Prometheus `le`, and the relative error
//! of a percentile read from the slots is at most a quarter (half of it at the slot's middle).
//!
//! What is always counted has four slots in a power of two ([`slot`], [`bound`]); a session, which lasts as long as somebody
//! looks, has eight ([`fine`]).

use crate::pod;

/// Upper bound of the first slot, as a power of two of nanoseconds: 128 ns.
pub const MIN_POWER: u32 = 7;
/// The highest bound, as a power of two of nanoseconds: 137 s. More goes to the overflow slot.
pub const MAX_POWER: u32 = 37;
/// Largest value, in nanoseconds, that does not overflow.
pub const MAX: u64 = 1 << MAX_POWER;
/// Slots inside one power of two; itself a power of two.
pub const SUB: u32 = 1 << SUB_POWER;
const SUB_POWER: u32 = 2;
/// All slots: the first, four for each power of two, and the overflow.
pub const SLOTS: usize = ((MAX_POWER - MIN_POWER) * SUB + 2) as usize;
/// Index of the overflow slot.
pub const OVERFLOW: usize = SLOTS - 1;

/// Durations in nanoseconds: their true sum and how many fell into each slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hist {
    pub sum: u64,
    pub slots: [u64; SLOTS],
}
const _: () = assert!(size_of::<Hist>() == 8 * (1 + SLOTS));
pod!(Hist);

impl Hist {
    pub const ZERO: Self = Self {
        sum: 0,
        slots: [0; SLOTS],
    };

    /// Takes in what another one holds.
    pub fn add(&mut self, other: &Self) {
        self.sum += other.sum;
        for (slot, n) in self.slots.iter_mut().zip(other.slots) {
            *slot += n;
        }
    }
}

/// The slot of a value in nanoseconds.
#[must_use]
pub fn slot(ns: u64) -> usize {
    slot_with(ns, |power, step| power + step)
}

/// As [`slot`], with an addition of the caller's: one that the compiler cannot see through keeps it from trading branches
/// that are not taken for arithmetic that always is. Each step of the search is two instructions then, and a value of some
/// microseconds takes 20, where `leading_zeros`, for which eBPF has no instruction, takes 45.
#[expect(
    clippy::inline_always,
    reason = "a call would cost the hot path as much as the work"
)]
#[inline(always)]
#[must_use]
pub fn slot_with(ns: u64, add: impl Fn(u64, u64) -> u64) -> usize {
    slot_by::<MIN_POWER, SUB_POWER>(ns, add)
}

#[expect(clippy::inline_always, reason = "as above")]
#[inline(always)]
fn slot_by<const MIN_POWER: u32, const SUB_POWER: u32>(
    ns: u64,
    add: impl Fn(u64, u64) -> u64,
) -> usize {
    let sub = 1 << SUB_POWER;
    if ns <= 1 << MIN_POWER {
        return 0;
    }
    if ns > MAX {
        return ((MAX_POWER - MIN_POWER) * sub + 1) as usize;
    }
    // Of the largest integer below the value, so that a bound falls into the slot that it closes.
    let mut rest = ns - 1;
    // At the end: the power of the largest two in it, and that and the `SUB_POWER` bits behind it.
    let mut power = u64::from(SUB_POWER);
    for step in [32, 16, 8, 4, 2, 1] {
        if rest >> (step + u64::from(SUB_POWER)) != 0 {
            rest >>= step;
            power = add(power, step);
        }
    }
    let slot = (power - u64::from(MIN_POWER)) * u64::from(sub) + (rest & (u64::from(sub) - 1)) + 1;
    #[expect(clippy::cast_possible_truncation, reason = "below SLOTS")]
    let slot = slot as usize;
    slot
}

/// The inclusive upper bound of a slot in nanoseconds; `u64::MAX` for the overflow.
#[must_use]
pub const fn bound(slot: usize) -> u64 {
    if slot >= OVERFLOW {
        return u64::MAX;
    }
    bound_by::<MIN_POWER, SUB_POWER>(slot)
}

const fn bound_by<const MIN_POWER: u32, const SUB_POWER: u32>(slot: usize) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "far below 2^32")]
    let slot = slot as u32;
    let base = 1u64 << (MIN_POWER + (slot >> SUB_POWER));
    base + (base >> SUB_POWER) * (slot & ((1 << SUB_POWER) - 1)) as u64
}

/// The histogram of a session: eight slots inside each power of two, from 16 ns on.
///
/// A value is told from its slot as `2 * low * high / (low + high)`, which is off by at most
/// `(high - low) / (high + low)`: a seventeenth, 5.9 %.
pub mod fine {
    use super::{MAX, MAX_POWER};

    /// Upper bound of the first slot, as a power of two of nanoseconds: 16 ns.
    pub const MIN_POWER: u32 = 4;
    const SUB_POWER: u32 = 3;
    /// Slots inside one power of two.
    pub const SUB: u32 = 1 << SUB_POWER;
    /// All slots: the first, eight for each power of two, and the overflow beyond [`MAX`].
    pub const SLOTS: usize = ((MAX_POWER - MIN_POWER) * SUB + 2) as usize;
    /// Index of the overflow slot.
    pub const OVERFLOW: usize = SLOTS - 1;

    /// The slot of a value in nanoseconds.
    #[expect(clippy::inline_always, reason = "used by eBPF programs")]
    #[inline(always)]
    #[must_use]
    pub fn slot(ns: u64) -> usize {
        super::slot_by::<MIN_POWER, SUB_POWER>(ns, |power, step| power + step)
    }

    /// The inclusive upper bound of a slot in nanoseconds; `u64::MAX` for the overflow.
    #[must_use]
    pub const fn bound(slot: usize) -> u64 {
        if slot >= OVERFLOW {
            return u64::MAX;
        }
        super::bound_by::<MIN_POWER, SUB_POWER>(slot)
    }

    const _: () = assert!(bound(OVERFLOW - 1) == MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seam_is_inclusive() {
        for i in 0..OVERFLOW {
            assert_eq!(slot(bound(i)), i, "bound {i} closes its own slot");
            assert_eq!(slot(bound(i) + 1), i + 1, "one more opens the next");
        }
        assert_eq!(slot(0), 0);
        assert_eq!(slot(u64::MAX), OVERFLOW);
    }

    #[test]
    fn bounds_grow_by_at_most_a_quarter() {
        for i in 1..OVERFLOW {
            let (low, high) = (bound(i - 1), bound(i));
            assert!(
                low < high && (high - low) * 4 <= low,
                "slot {i}: {low}..{high}"
            );
        }
    }

    #[test]
    fn fine_slots_tell_a_value_to_a_seventeenth() {
        for i in 0..fine::OVERFLOW {
            assert_eq!(fine::slot(fine::bound(i)), i);
            assert_eq!(fine::slot(fine::bound(i) + 1), i + 1);
        }
        assert_eq!(fine::slot(u64::MAX), fine::OVERFLOW);
        for i in 1..fine::OVERFLOW {
            let (low, high) = (fine::bound(i - 1), fine::bound(i));
            assert!((high - low) * 17 <= high + low, "slot {i}: {low}..{high}");
        }
    }

    #[test]
    fn powers_of_two_are_bounds() {
        for power in MIN_POWER..=MAX_POWER {
            let i = ((power - MIN_POWER) * SUB) as usize;
            assert_eq!(bound(i), 1 << power);
        }
        assert_eq!(bound(OVERFLOW - 1), MAX);
    }
}
