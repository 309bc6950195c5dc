//! A recording, grouped: what every view shows.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::{
    by::{By, Value},
    filters::Filters,
    recording::{About, Recording},
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
}

impl Table {
    /// Groups all of a recording.
    ///
    /// # Errors
    /// When it was not recorded what a dimension or a filter needs.
    pub fn of(recording: &Recording, by: &[By], filters: &Filters) -> Result<Self> {
        let columns: Vec<usize> = by
            .iter()
            .map(|by| column(recording, *by))
            .collect::<Result<_>>()?;
        let wanted = wanted(recording, filters)?;
        let mut groups: BTreeMap<Vec<Value>, Tally> = BTreeMap::new();
        let mut total = Tally::default();
        for (key, tally) in recording.keys.iter().zip(recording.totals()) {
            if wanted
                .iter()
                .any(|(column, values)| !fits(&key[*column], values))
            {
                continue;
            }
            total.add(&tally);
            let key = columns.iter().map(|column| key[*column].clone()).collect();
            groups.entry(key).or_default().add(&tally);
        }
        let mut rows: Vec<_> = groups
            .into_iter()
            .map(|(key, tally)| Row { key, tally })
            .collect();
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

/// Where a dimension is in the keys.
fn column(recording: &Recording, by: By) -> Result<usize> {
    let Some(column) = recording.about.by.iter().position(|known| *known == by) else {
        let names: Vec<_> = recording.about.by.iter().map(|by| by.name()).collect();
        bail!(
            "the recording does not tell calls by {}, only by {}: record with --by",
            by.name(),
            names.join(", ")
        );
    };
    Ok(column)
}

/// Columns, and what they may hold.
fn wanted(recording: &Recording, filters: &Filters) -> Result<Vec<(usize, Vec<String>)>> {
    let about = &recording.about;
    let mut wanted = vec![];
    for (by, values) in [
        (By::Comm, filters.comm.clone()),
        (By::Cgroup, filters.cgroup.clone()),
        (By::Device, filters.device.clone()),
        (By::Geometry, filters.geometry.clone()),
        (By::Entry, filters.entry.clone()),
        (
            By::How,
            filters.how.iter().map(|how| how.name().into()).collect(),
        ),
        (
            By::Longterm,
            filters
                .longterm
                .then(|| "longterm".into())
                .into_iter()
                .collect(),
        ),
    ] {
        if !values.is_empty() {
            wanted.push((column(recording, by)?, values));
        }
    }
    if !filters.pid.is_empty() {
        bail!("TODO pid or tgid");
    }
    if filters.min_latency.is_some() || filters.min_pages.is_some() {
        bail!(
            "{}: single calls are not recorded: record with --min-latency or --min-pages",
            about.kernel
        );
    }
    Ok(wanted)
}

fn fits(value: &Value, wanted: &[String]) -> bool {
    match value {
        Value::Text(text) => wanted.contains(text),
        Value::Number(number) => wanted.contains(&number.to_string()),
        Value::Stack(_) => false,
    }
}
