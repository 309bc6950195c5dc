//! What may be left out when time is short: parts in an order that is random but fixed, and what many of them say
//! of all.

use std::collections::BTreeMap;

use super::frames::Frames;

/// Decides the order. Any number does; a fixed one makes two runs comparable.
pub const SEED: u64 = 0x6461_7873_636f_7065;

/// Each number below `count` once, in an order like a random one: a linear congruential generator with a power of two
/// as modulus runs through all (Hull and Dobell), of which those that are too large are left out.
pub fn order(count: u64, seed: u64) -> impl Iterator<Item = u64> {
    const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
    const INCREMENT: u64 = 1_442_695_040_888_963_407;
    let modulus = count.checked_next_power_of_two().unwrap_or(1 << 63);
    let mut state = seed;
    let all = (0..modulus).map(move |_| {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
        state & (modulus - 1)
    });
    all.filter(move |n| *n < count)
}

/// Distinct frames seen in parts of which each was looked at whole.
#[derive(Default)]
pub struct Seen {
    once: Frames,
    /// Those that more than one part has.
    again: Frames,
}

impl Seen {
    /// Adds the frames of one part, in any order, with or without repetitions.
    pub fn part(&mut self, frames: &mut Vec<u64>) {
        frames.sort_unstable();
        frames.dedup();
        for frame in frames.drain(..) {
            if !self.once.insert(frame) {
                self.again.insert(frame);
            }
        }
    }

    /// How many distinct frames of each class there are in all parts, if `looked` of `parts` were looked at. What
    /// several parts share is the same for all, and what only one has, each has as much of.
    ///
    /// # Errors
    /// When a frame has no class.
    pub fn estimate<C: Ord, E>(
        &self,
        (looked, parts): (u64, u64),
        mut class: impl FnMut(u64) -> Result<C, E>,
    ) -> Result<BTreeMap<C, u64>, E> {
        let mut counts: BTreeMap<C, (u64, u64)> = BTreeMap::new();
        for frame in self.once.iter() {
            let (own, shared) = counts.entry(class(frame)?).or_default();
            if self.again.contains(frame) {
                *shared += 1;
            } else {
                *own += 1;
            }
        }
        let total = |(own, shared)| shared + scale(own, parts, looked);
        Ok(counts.into_iter().map(|(c, n)| (c, total(n))).collect())
    }
}

/// `n * parts / looked`, to the nearest.
fn scale(n: u64, parts: u64, looked: u64) -> u64 {
    let looked = u128::from(looked.max(1));
    let scaled = (u128::from(n) * u128::from(parts) + looked / 2) / looked;
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_has_each_number_once_and_is_not_sorted() {
        for count in [0, 1, 2, 7, 8, 1000] {
            let mut all: Vec<_> = order(count, SEED).collect();
            assert_eq!(all.is_sorted(), count < 3, "{all:?}");
            all.sort_unstable();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }

    /// 1000 parts with 5 frames each of their own, and one that all share.
    fn seen(looked: u64) -> u64 {
        let mut seen = Seen::default();
        for part in order(1000, SEED).take(usize::try_from(looked).expect("fits")) {
            let mut frames: Vec<_> = (0..5).map(|n| 7_000_000 + 5 * part + n).collect();
            frames.extend([3, 3]);
            seen.part(&mut frames);
        }
        let classes: Result<_, ()> = seen.estimate((looked, 1000), |_| Ok(()));
        classes.expect("all have a class")[&()]
    }

    #[test]
    fn what_is_shared_is_not_scaled() {
        assert_eq!(seen(1000), 5001);
        assert_eq!(seen(100), 5001);
        assert_eq!(seen(3), 5001);
    }
}
