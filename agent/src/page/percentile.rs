//! How long a share of calls took at most.

use daxscope_common::hist::{self, OVERFLOW, SLOTS};

use super::{figures::Slots, history::Column};
use crate::text;

/// Calls by the slot of their duration, and nanoseconds that none of them can have exceeded.
pub struct Calls([u64; SLOTS], u64);

impl Calls {
    #[must_use]
    pub fn of<'a>(all: impl IntoIterator<Item = &'a Slots>) -> Self {
        let mut calls = [0; SLOTS];
        for (slot, n) in all.into_iter().flatten() {
            if let Some(sum) = calls.get_mut(usize::from(*slot)) {
                *sum += u64::from(*n);
            }
        }
        Self(calls, u64::MAX)
    }

    #[must_use]
    pub fn of_columns(columns: &[Column]) -> Self {
        Self::of(columns.iter().map(|column| &column.slots))
    }

    #[must_use]
    pub fn since_the_start(durations: &hist::Hist) -> Self {
        Self(durations.slots, durations.sum)
    }

    #[must_use]
    pub fn any(&self) -> bool {
        self.0.iter().any(|calls| *calls > 0)
    }

    /// In words, the smallest duration that at least so many of a thousand calls did not exceed, to within a ninth: a slot's
    /// middle. `None` without calls.
    #[must_use]
    pub fn percentile(&self, of_thousand: u64) -> Option<String> {
        let all: u128 = self.0.iter().map(|calls| u128::from(*calls)).sum();
        let rank = (all * u128::from(of_thousand)).div_ceil(1000).max(1);
        let mut seen = 0;
        let slot = self.0.iter().position(|calls| {
            seen += u128::from(*calls);
            seen >= rank
        })?;
        Some(words(slot, self.1))
    }
}

/// A duration in a slot. Those at the ends have only one bound.
fn words(slot: usize, most: u64) -> String {
    let high = hist::bound(slot);
    match slot {
        0 => format!("≤ {}", text::duration(high)),
        OVERFLOW => format!("> {}", text::duration(hist::MAX)),
        _ => {
            let low = hist::bound(slot - 1);
            let middle = 2 * u128::from(low) * u128::from(high) / u128::from(low + high);
            text::duration(u64::try_from(middle).unwrap_or(u64::MAX).min(most))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_call_of_that_rank() {
        let slot = |ns| u8::try_from(hist::slot(ns)).expect("a slot");
        let calls = Calls::of([
            &vec![(slot(1000), 50), (slot(8000), 49)],
            &vec![(slot(1 << 30), 1)],
        ]);
        // The middle of the slot from 896 to 1024 ns, from 7168 to 8192 ns, from 896 to 1024 * 2^20 ns.
        let told = [500, 501, 990, 991].map(|share| calls.percentile(share));
        let told = told.map(Option::unwrap_or_default);
        assert_eq!(told, ["955 ns", "7.6 µs", "7.6 µs", "1.0 s"]);
    }

    #[test]
    fn one_call_took_no_longer_than_all_in_all() {
        let mut durations = hist::Hist::ZERO;
        durations.slots[hist::slot(2_300_000_000)] = 1;
        durations.sum = 2_300_000_000;
        let calls = Calls::since_the_start(&durations);
        assert_eq!(calls.percentile(500).as_deref(), Some("2.3 s"));
    }

    #[test]
    fn the_ends_are_bounds_and_nothing_is_nothing() {
        let first = Calls::of([&vec![(0, 1)]]);
        assert_eq!(first.percentile(500).as_deref(), Some("≤ 128 ns"));
        let last = Calls::of([&vec![(u8::try_from(OVERFLOW).expect("a slot"), 1)]]);
        assert_eq!(last.percentile(500).as_deref(), Some("> 137.4 s"));
        assert_eq!(Calls::of([]).percentile(500), None);
    }
}
