//! The one histogram: HDR-like, four slots inside each power of two, upper bounds inclusive.
//!
//! Slot `i` holds the values `bound(i - 1) < v <= bound(i)`, the last slot everything beyond
//! [`MAX`]. Because slots are by *ceil*, a bound is exactly a Prometheus `le`, and the relative error
//! of a percentile read from the slots is at most a quarter (half of it at the slot's middle).

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
    if ns <= 1 << MIN_POWER {
        return 0;
    }
    if ns > MAX {
        return OVERFLOW;
    }
    // Of the largest integer below the value, so that a bound falls into the slot that it closes.
    let mut rest = ns - 1;
    // At the end: the power of the largest two in it, and that and the two bits behind it.
    let mut power = u64::from(SUB_POWER);
    for step in [32, 16, 8, 4, 2, 1] {
        if rest >> (step + u64::from(SUB_POWER)) != 0 {
            rest >>= step;
            power = add(power, step);
        }
    }
    let slot = (power - u64::from(MIN_POWER)) * u64::from(SUB) + (rest & (u64::from(SUB) - 1)) + 1;
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
    #[expect(clippy::cast_possible_truncation, reason = "SLOTS is far below 2^32")]
    let slot = slot as u32;
    let base = 1u64 << (MIN_POWER + slot / SUB);
    base + (base >> SUB_POWER) * (slot % SUB) as u64
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
    fn powers_of_two_are_bounds() {
        for power in MIN_POWER..=MAX_POWER {
            let i = ((power - MIN_POWER) * SUB) as usize;
            assert_eq!(bound(i), 1 << power);
        }
        assert_eq!(bound(OVERFLOW - 1), MAX);
    }
}
