//! What is counted of a group of calls.

use std::collections::BTreeMap;

use daxscope_common::hist::fine;
use serde::{Deserialize, Serialize};

/// By how much a percentile may be off, in percent, rounded up: half the width of a slot.
pub const PERCENTILE_ERROR: f64 = 6.0;

/// A group of calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub calls: u64,
    /// User pages returned; struct pages initialised or populated.
    pub pages: u64,
    /// Of the calls, those that failed.
    pub errors: u64,
    /// Of the calls, those with pages of which some are counted as their neighbours are.
    pub sampled: u64,
    /// Nanoseconds inside the calls that were timed.
    pub ns: u64,
    /// Nanoseconds of the longest.
    pub max_ns: u64,
    /// The calls that were timed, by slot of [`fine`]; slots without any are left out.
    pub slots: BTreeMap<usize, u64>,
}

impl Tally {
    /// Adds another. Sums stay at the largest number, which only a made-up file reaches.
    pub fn add(&mut self, other: &Self) {
        let add = |sum: &mut u64, n: u64| *sum = sum.saturating_add(n);
        add(&mut self.calls, other.calls);
        add(&mut self.pages, other.pages);
        add(&mut self.errors, other.errors);
        add(&mut self.sampled, other.sampled);
        add(&mut self.ns, other.ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        for (slot, n) in &other.slots {
            add(self.slots.entry(*slot).or_default(), *n);
        }
    }

    /// What came since an earlier reading. The longest of that is known to its slot only, unless it is the longest of all.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut slots = BTreeMap::new();
        for (slot, n) in &self.slots {
            let n = n.saturating_sub(earlier.slots.get(slot).copied().unwrap_or(0));
            if n > 0 {
                slots.insert(*slot, n);
            }
        }
        let highest = slots.keys().next_back();
        Self {
            calls: self.calls.saturating_sub(earlier.calls),
            pages: self.pages.saturating_sub(earlier.pages),
            errors: self.errors.saturating_sub(earlier.errors),
            sampled: self.sampled.saturating_sub(earlier.sampled),
            ns: self.ns.saturating_sub(earlier.ns),
            max_ns: highest.map_or(0, |slot| fine::bound(*slot).min(self.max_ns)),
            slots,
        }
    }

    /// How many calls were timed.
    #[must_use]
    pub fn timed(&self) -> u64 {
        self.slots.values().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// The smallest duration in nanoseconds that at least `share` (0 to 1) of the timed calls did not exceed, to within
    /// [`PERCENTILE_ERROR`]; `None` if none was timed. Up to 16 ns and beyond 137 s it is a bound.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among fewer calls than 2^53"
    )]
    pub fn percentile(&self, share: f64) -> Option<u64> {
        let rank = ((share * self.timed() as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (slot, n) in &self.slots {
            seen = u64::saturating_add(seen, *n);
            if seen >= rank {
                return Some(middle(*slot).min(self.max_ns));
            }
        }
        None
    }

    /// Pages for each second inside the timed calls, rounded half up; `None` if none was timed.
    #[must_use]
    pub fn pages_per_second(&self) -> Option<u64> {
        let ns = u128::from(self.ns);
        let rate = (u128::from(self.pages) * 1_000_000_000 + ns / 2).checked_div(ns)?;
        Some(u64::try_from(rate).unwrap_or(u64::MAX))
    }

    /// How many of the timed calls took longer than the histogram can tell.
    #[must_use]
    pub fn overflow(&self) -> u64 {
        self.slots.get(&fine::OVERFLOW).copied().unwrap_or(0)
    }
}

/// The value that stands for a slot, in nanoseconds: off by as much from its lower bound as from its upper.
#[must_use]
pub fn middle(slot: usize) -> u64 {
    let high = fine::bound(slot);
    let low = match slot {
        0 => return high,
        fine::OVERFLOW => return u64::MAX,
        _ => fine::bound(slot - 1),
    };
    let middle = 2 * u128::from(low) * u128::from(high) / u128::from(low + high);
    u64::try_from(middle).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_off_by_no_more_than_is_said() {
        // A long-tailed series, without any generator: squares, scaled.
        let mut values: Vec<u64> = (1..4000_u64).map(|n| 100 + n * n * 7).collect();
        let mut tally = Tally::default();
        for ns in &values {
            *tally.slots.entry(fine::slot(*ns)).or_default() += 1;
            tally.max_ns = tally.max_ns.max(*ns);
        }
        values.sort_unstable();
        for per_mille in 1..=1000_u16 {
            let rank = (values.len() * usize::from(per_mille)).div_ceil(1000);
            let exact = values[rank.max(1) - 1];
            let told = tally.percentile(f64::from(per_mille) / 1000.0);
            let told = told.expect("timed");
            // PERCENTILE_ERROR
            assert!(
                told.abs_diff(exact) * 100 <= 6 * exact,
                "{per_mille}: {told} for {exact}"
            );
        }
        assert_eq!(Tally::default().percentile(0.5), None);
    }

    #[test]
    fn what_came_since_is_what_is_added() {
        let of = |calls, ns, slot| Tally {
            calls,
            ns,
            max_ns: fine::bound(slot),
            slots: BTreeMap::from([(slot, calls)]),
            ..Tally::default()
        };
        let (mut sum, more) = (of(3, 30, 40), of(2, 9, 20));
        let before = sum.clone();
        sum.add(&more);
        assert_eq!(sum.since(&before), more);
        assert_eq!(sum.max_ns, fine::bound(40));
    }
}
