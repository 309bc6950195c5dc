//! A recording, grouped: what every view shows.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{
    by::{By, Value},
    filters::Filters,
    recording::{About, Recording},
    sieve::{self, Sieve},
    tally::Tally,
};

/// Groups of calls, side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub about: About,
    pub by: Vec<By>,
    /// The most time inside first.
    pub rows: Vec<Row>,
    pub total: Tally,
    /// Milliseconds that were watched.
    pub elapsed: u64,
    /// What was lost, by name.
    pub lost: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// A value for each of [`Table::by`].
    pub key: Vec<Value>,
    pub tally: Tally,
    /// The groups of the recording that it is the sum of, by their indices in [`Recording::keys`].
    pub groups: Vec<usize>,
}

impl Table {
    /// Groups all of a recording.
    ///
    /// # Errors
    /// When it was not recorded what a dimension or a filter needs.
    pub fn of(recording: &Recording, by: &[By], filters: &Filters) -> Result<Self> {
        let columns: Vec<usize> = by
            .iter()
            .map(|by| sieve::column(&recording.about, *by))
            .collect::<Result<_>>()?;
        let sieve = Sieve::new(recording, filters)?;
        let mut rows: BTreeMap<Vec<Value>, Row> = BTreeMap::new();
        let mut total = Tally::default();
        for (group, (key, tally)) in recording.keys.iter().zip(recording.totals()).enumerate() {
            if !sieve.passes(key) {
                continue;
            }
            total.add(&tally);
            let key: Vec<_> = columns.iter().map(|column| key[*column].clone()).collect();
            let row = rows.entry(key.clone()).or_insert_with(|| Row {
                key,
                tally: Tally::default(),
                groups: vec![],
            });
            row.tally.add(&tally);
            row.groups.push(group);
        }
        let mut rows: Vec<_> = rows.into_values().collect();
        // Stable, so that equal ones stay in the order of their keys.
        rows.sort_by_key(|row| std::cmp::Reverse((row.tally.ns, row.tally.calls)));
        Ok(Self {
            about: recording.about.clone(),
            by: by.to_vec(),
            rows,
            total,
            elapsed: recording.elapsed(),
            lost: recording.lost(),
        })
    }
}
