//! Two sessions side by side: before and after something was changed.

mod rows;
mod words;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use anyhow::{Context as _, Result};

use super::{
    by::{By, Value},
    filters::Filters,
    recording::{About, Device, Point, Recording},
    table::Table,
    tally::Tally,
    views::{Figures, figures},
};
use crate::text;

/// What the sessions are called.
pub const NAMES: [&str; 2] = ["A", "B"];

/// A pair of tables.
pub struct Diff {
    pub tables: [Table; 2],
    /// What was not the same around them.
    pub differences: Vec<Difference>,
    /// Groups of either, those with the most time inside first.
    pub groups: Vec<Group>,
}

/// Something that was different.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    pub what: String,
    /// In each session; `-` where it was not.
    pub was: [String; 2],
}

/// A group of calls in both sessions, or in one of them.
pub struct Group {
    pub key: Vec<Value>,
    pub tallies: [Option<Tally>; 2],
}

/// A figure of both sessions.
struct Compared {
    /// As in [`figures`].
    name: &'static str,
    was: [Option<u64>; 2],
    /// The second by the first; `None` where that has no meaning.
    ratio: Option<f64>,
}

impl Diff {
    /// Sets two recordings side by side.
    ///
    /// # Errors
    /// When it was not recorded in both what a dimension or a filter needs.
    pub fn of(recordings: [&Recording; 2], by: &[By], filters: &Filters) -> Result<Self> {
        let [a, b] = [0, 1].map(|n| Table::of(recordings[n], by, filters).context(NAMES[n]));
        let tables = [a?, b?];
        let mut groups: BTreeMap<&[Value], [Option<Tally>; 2]> = BTreeMap::new();
        for (side, table) in tables.iter().enumerate() {
            for row in &table.rows {
                groups.entry(&row.key).or_default()[side] = Some(row.tally.clone());
            }
        }
        let group = |(key, tallies): (&[Value], _)| Group {
            key: key.to_vec(),
            tallies,
        };
        let mut groups: Vec<_> = groups.into_iter().map(group).collect();
        // Stable, so that equal ones stay in the order of their keys.
        groups.sort_by_key(|group| {
            let most = group.tallies.iter().flatten().map(|t| (t.ns, t.calls));
            Reverse(most.max())
        });
        Ok(Self {
            differences: differences(recordings.map(|recording| &recording.about)),
            groups,
            tables,
        })
    }

    /// All calls.
    #[must_use]
    pub fn total(&self) -> Group {
        Group {
            key: vec![],
            tallies: self
                .tables
                .each_ref()
                .map(|table| Some(table.total.clone())),
        }
    }
}

impl Group {
    /// The figures of each session; `None` in one that does not have the group.
    fn figures(&self) -> [Option<Figures>; 2] {
        self.tallies
            .each_ref()
            .map(|tally| tally.as_ref().map(figures))
    }

    /// Each figure of both sessions.
    fn compared(&self) -> Vec<Compared> {
        let names = figures(&Tally::default()).map(|(name, _)| name);
        let sides = self.figures();
        let figure = |(n, name): (usize, &'static str)| {
            let was = sides.map(|side| side.and_then(|figures| figures[n].1));
            Compared {
                name,
                was,
                ratio: ratio(was),
            }
        };
        names.into_iter().enumerate().map(figure).collect()
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio, to three digits for people"
)]
fn ratio(values: [Option<u64>; 2]) -> Option<f64> {
    match values {
        [Some(a), Some(b)] if a > 0 => Some(b as f64 / a as f64),
        _ => None,
    }
}

/// What was not the same around two sessions.
fn differences(abouts: [&About; 2]) -> Vec<Difference> {
    let mut all = vec![];
    let mut compare = |what: &str, tell: &dyn Fn(&About) -> String| {
        let was = abouts.map(tell);
        if was[0] != was[1] {
            let what = what.to_owned();
            all.push(Difference { what, was });
        }
    };
    let words = |words: &[String]| match words {
        [] => "-".to_owned(),
        some => some.join(" "),
    };
    compare("daxscope", &|about| about.daxscope.clone());
    compare("host", &|about| about.host.clone());
    compare("kernel", &|about| about.kernel.clone());
    compare("machine", &|about| about.machine.clone());
    compare("CPUs", &|about| about.cpus.to_string());
    compare("rooms", &|about| words(&about.rooms));
    compare("filters", &|about| words(&about.filters));
    compare("command", &|about| words(&about.command));
    let either = |names: fn(&About) -> Vec<&str>| -> BTreeSet<&str> {
        abouts.into_iter().flat_map(names).collect()
    };
    for name in either(|about| about.devices.iter().map(|d| d.name.as_str()).collect()) {
        compare(name, &|about| {
            let known = about.devices.iter().find(|device| device.name == name);
            known.map_or("-".into(), device)
        });
    }
    for entry in either(|about| about.points.iter().map(|p| p.entry.as_str()).collect()) {
        compare(entry, &|about| {
            let known = about.points.iter().find(|point| point.entry == entry);
            known.map_or("-".into(), point)
        });
    }
    all
}

/// `2M, map mem, 2.0 GiB`
fn device(device: &Device) -> String {
    let bytes = text::bytes(device.bytes);
    format!("{}, map {}, {bytes}", device.geometry, device.map)
}

/// `by fentry`
fn point(point: &Point) -> String {
    match &point.mechanism {
        Some(mechanism) => format!("by {mechanism}"),
        None => format!("not watched: {}", point.reason),
    }
}
