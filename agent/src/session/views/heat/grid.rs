//! Calls by the time at which they ended, and by how long they took.

use std::collections::BTreeMap;

use super::super::ranges::Ranges;
use crate::session::{recording::Recording, table::Row, tally::Tally};

/// The most steps of time: narrower ones cannot be told apart in the picture.
const COLUMNS: usize = 120;
/// The most ranges of durations, for the same reason.
const RANGES: usize = 48;

/// The same steps of time and ranges of durations for some groups.
pub struct Grid {
    /// Where each step of time ends; milliseconds since the beginning.
    pub until: Vec<u64>,
    pub ranges: Ranges,
    /// Of each group and each step of time, how many calls fell into which range of durations.
    pub groups: Vec<Vec<BTreeMap<usize, u64>>>,
}

impl Grid {
    /// `None` if no call was timed.
    pub fn new(recording: &Recording, rows: &[Row]) -> Option<Self> {
        let together = recording.states.len().div_ceil(COLUMNS).max(1);
        let mut last = vec![Tally::default(); recording.keys.len()];
        let mut until = vec![];
        let mut groups: Vec<Vec<BTreeMap<usize, u64>>> = vec![vec![]; rows.len()];
        for states in recording.states.chunks(together) {
            let mut now = last.clone();
            for state in states {
                for (group, tally) in &state.changed {
                    if let Some(now) = now.get_mut(*group) {
                        now.clone_from(tally);
                    }
                }
            }
            for (row, columns) in rows.iter().zip(&mut groups) {
                let mut sum = Tally::default();
                for group in &row.groups {
                    sum.add(&now[*group].since(&last[*group]));
                }
                columns.push(sum.slots);
            }
            until.extend(states.last().map(|state| state.at));
            last = now;
        }
        let slots = || groups.iter().flatten().flat_map(BTreeMap::keys).copied();
        let ends = [slots().min()?, slots().max()?];
        let ranges = Ranges::new(ends, RANGES);
        for column in groups.iter_mut().flatten() {
            let mut wide = BTreeMap::new();
            for (slot, n) in &*column {
                *wide.entry(ranges.of(*slot)).or_default() += n;
            }
            *column = wide;
        }
        Some(Self {
            until,
            ranges,
            groups,
        })
    }

    /// The most calls in one place; 0 if there are none.
    pub fn most(&self) -> u64 {
        self.places().map(|(_, n)| n).max().unwrap_or(0)
    }

    /// The lowest and the highest range with a call.
    pub fn ends(&self) -> [usize; 2] {
        let ranges = || self.places().map(|(range, _)| range);
        [ranges().min().unwrap_or(0), ranges().max().unwrap_or(0)]
    }

    fn places(&self) -> impl Iterator<Item = (usize, u64)> {
        let columns = self.groups.iter().flatten();
        columns.flat_map(|column| column.iter().map(|(range, n)| (*range, *n)))
    }
}
