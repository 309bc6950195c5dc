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
#[expect(
    clippy::inline_always,
    reason = "a call would cost the hot path as much as the work"
)]
#[inline(always)]
#[must_use]
pub const fn slot(ns: u64) -> usize {
    if ns <= 1 << MIN_POWER {
        return 0;
    }
    if ns > MAX {
        return OVERFLOW;
    }
    // Of the largest integer below the value, so that a bound falls into the slot that it closes.
    let below = ns - 1;
    let power = power_of_two(below);
    #[expect(clippy::cast_possible_truncation, reason = "only two bits are left")]
    let part = ((below >> (power - SUB_POWER)) & (SUB as u64 - 1)) as u32;
    ((power - MIN_POWER) * SUB + part + 1) as usize
}

/// The power of the largest two that is not above a value of at least 1 and below 2^38. By halves: eBPF has no instruction
/// for it, and what the compiler makes of `leading_zeros` takes 45.
#[expect(
    clippy::inline_always,
    reason = "a call would cost the hot path as much as the work"
)]
#[inline(always)]
const fn power_of_two(mut value: u64) -> u32 {
    let mut power = 0;
    if value >> 32 != 0 {
        value >>= 32;
        power += 32;
    }
    if value >> 16 != 0 {
        value >>= 16;
        power += 16;
    }
    if value >> 8 != 0 {
        value >>= 8;
        power += 8;
    }
    if value >> 4 != 0 {
        value >>= 4;
        power += 4;
    }
    if value >> 2 != 0 {
        value >>= 2;
        power += 2;
    }
    if value >> 1 != 0 {
        power += 1;
    }
    power
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
