//! The moments before this one, as far as the page shows them: bounded, whatever is read and however often.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use daxscope_common::hist::Hist;

use super::figures::{self, Group, Requests, Slots};
use crate::snapshot::Snapshot;

/// For how long durations are kept.
pub const WINDOW: Duration = Duration::from_mins(30);
/// The least that a column spans. Prometheus usually reads every 15 s, so each of its readings ends one.
const COLUMN: Duration = Duration::from_secs(12);
const COLUMNS: usize = 150;
const _: () = assert!(COLUMN.as_secs() * 150 == WINDOW.as_secs());
/// Groups that are remembered: more than two ways by all geometries that the programs tell apart.
const GROUPS: usize = 2 * daxscope_common::geometry::SLOTS;
/// Moments that rates are counted from: they are so far apart, and the one taken is at least so old.
const APART: Duration = Duration::from_secs(2);
const OLD_ENOUGH: Duration = Duration::from_secs(4);
/// A younger one would make much of little.
const AT_LEAST: Duration = Duration::from_millis(500);
const MOMENTS: usize = 4;

/// What is remembered of moments that were read. It has no clock of its own: each reading is one tick.
#[derive(Debug, Default)]
pub struct History {
    /// From which rates are counted, oldest first.
    moments: VecDeque<Moment>,
    /// Where the last column ended.
    edge: Option<Moment>,
    columns: VecDeque<Kept>,
    groups: Vec<Group>,
}

/// A column of all groups.
#[derive(Debug)]
struct Kept {
    from: Instant,
    to: Instant,
    calls: Box<[Cell]>,
}

#[derive(Debug)]
struct Cell {
    /// Which of [`History::groups`].
    group: u8,
    slot: u8,
    calls: u32,
}

/// What was counted up to a moment.
#[derive(Clone, Debug)]
pub struct Moment {
    pub at: Instant,
    pub requests: Vec<Requests>,
}

/// The durations of calls of a group that ended within a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub from: Instant,
    pub to: Instant,
    pub slots: Slots,
}

impl Moment {
    #[must_use]
    pub fn new(at: Instant, snapshot: &Snapshot) -> Self {
        let mut requests = figures::requests(snapshot);
        requests.truncate(GROUPS);
        Self { at, requests }
    }

    /// What was counted of a group.
    #[must_use]
    pub fn of(&self, group: &Group) -> Option<&Requests> {
        self.requests
            .iter()
            .find(|requests| requests.group == *group)
    }

    /// What came of a group since an earlier moment.
    fn since(&self, earlier: &Self, group: &Group) -> Slots {
        let of = |moment: &Self| moment.of(group).map_or(Hist::ZERO, |of| of.durations);
        figures::since(&of(self), &of(earlier))
    }
}

impl History {
    /// Remembers a moment. Every reading of the server goes through here, scrapes too.
    pub fn record(&mut self, at: Instant, snapshot: &Snapshot) {
        let now = Moment::new(at, snapshot);
        match &self.edge {
            None => self.edge = Some(now.clone()),
            Some(edge) if at.saturating_duration_since(edge.at) < COLUMN => {}
            Some(edge) => {
                let column = column(&mut self.groups, edge, &now);
                self.columns.push_back(column);
                self.edge = Some(now.clone());
            }
        }
        let gone = |column: &Kept| at.saturating_duration_since(column.to) >= WINDOW;
        while self.columns.len() > COLUMNS || self.columns.front().is_some_and(gone) {
            self.columns.pop_front();
        }
        let last = self.moments.back();
        if last.is_none_or(|last| at.saturating_duration_since(last.at) >= APART) {
            self.moments.push_back(now);
        }
        if self.moments.len() > MOMENTS {
            self.moments.pop_front();
        }
    }

    /// The moment from which rates are counted: some seconds old if there is one, else the oldest.
    #[must_use]
    pub fn before(&self, now: Instant) -> Option<&Moment> {
        let age = |moment: &Moment| now.saturating_duration_since(moment.at);
        let recent = self.moments.iter().rev();
        let mut old_enough = recent.filter(|moment| age(moment) >= OLD_ENOUGH);
        let oldest = self.moments.front();
        old_enough
            .next()
            .or_else(|| oldest.filter(|moment| age(moment) >= AT_LEAST))
    }

    /// Since when durations are remembered.
    #[must_use]
    pub fn begins(&self) -> Option<Instant> {
        let first = self.columns.front().map(|column| column.from);
        first.or_else(|| self.edge.as_ref().map(|edge| edge.at))
    }

    /// The durations of a group up to now, oldest first; the last column is still growing.
    #[must_use]
    pub fn columns(&self, group: &Group, now: &Moment) -> Vec<Column> {
        let index = self.groups.iter().position(|known| known == group);
        let kept = self.columns.iter().map(|kept| Column {
            from: kept.from,
            to: kept.to,
            slots: kept
                .calls
                .iter()
                .filter(|calls| Some(usize::from(calls.group)) == index)
                .map(|calls| (calls.slot, calls.calls))
                .collect(),
        });
        let growing = self
            .edge
            .as_ref()
            .filter(|edge| edge.at < now.at)
            .map(|edge| Column {
                from: edge.at,
                to: now.at,
                slots: now.since(edge, group),
            });
        kept.chain(growing).collect()
    }
}

/// What came between two moments. Groups are given their numbers as they come.
fn column(groups: &mut Vec<Group>, from: &Moment, to: &Moment) -> Kept {
    let mut calls = vec![];
    for Requests { group, .. } in &to.requests {
        let known = groups.iter().position(|known| known == group);
        let index = known.unwrap_or_else(|| {
            groups.push(group.clone());
            groups.len() - 1
        });
        // More than there can be: a source that makes up groups is shown without them.
        if index >= GROUPS {
            groups.truncate(GROUPS);
            continue;
        }
        let group_number = u8::try_from(index).unwrap_or(u8::MAX);
        let slots = to.since(from, group).into_iter();
        calls.extend(slots.map(|(slot, calls)| Cell {
            group: group_number,
            slot,
            calls,
        }));
    }
    Kept {
        from: from.at,
        to: to.at,
        calls: calls.into(),
    }
}

#[cfg(test)]
mod tests {
    use daxscope_common::hist;

    use super::*;
    use crate::{
        probes,
        snapshot::{Metric, Value},
    };

    fn metric(name: &str) -> &'static Metric {
        let found = probes::metrics().find(|metric| metric.name == name);
        found.unwrap_or_else(|| panic!("there is no metric {name}"))
    }

    /// So many pins of 2M pages, all of them so long.
    fn snapshot(calls: u64, ns: u64) -> Snapshot {
        let mut durations = Hist::ZERO;
        durations.slots[hist::slot(ns)] = calls;
        let sample = |name, value| {
            let metric = metric(name);
            let label = |label: &&str| match *label {
                "how" => "pin".to_owned(),
                "geometry" => "2M".to_owned(),
                other => other.to_owned(),
            };
            let labels = metric.labels.iter().map(label).collect();
            crate::snapshot::Sample {
                metric,
                labels,
                value,
            }
        };
        Snapshot {
            samples: vec![
                sample("gup_calls_total", Value::Count(calls)),
                sample("gup_pages_total", Value::Count(calls * 8)),
                sample(
                    "gup_duration_seconds",
                    Value::Durations(Box::new(durations)),
                ),
            ],
        }
    }

    fn group() -> Group {
        Group {
            how: "pin".into(),
            geometry: "2M".into(),
        }
    }

    #[test]
    fn columns_hold_what_came_between_them() {
        let (start, mut history) = (Instant::now(), History::default());
        let at = |second| start + Duration::from_secs(second);
        for (second, calls) in [(0, 5), (15, 105), (30, 105), (45, 111)] {
            history.record(at(second), &snapshot(calls, 1000));
        }
        let now = Moment::new(at(50), &snapshot(120, 1000));
        let slot = u8::try_from(hist::slot(1000)).expect("a slot");
        let calls = |column: &Column| column.slots.clone();
        let columns = history.columns(&group(), &now);
        let slots: Vec<_> = columns.iter().map(calls).collect();
        assert_eq!(
            slots,
            [vec![(slot, 100)], vec![], vec![(slot, 6)], vec![(slot, 9)]]
        );
        assert!(columns.is_sorted_by(|a, b| a.to == b.from), "no gaps");
        assert_eq!(history.begins(), Some(start));
    }

    #[test]
    fn it_is_bounded_however_often_it_is_read() {
        let (start, mut history) = (Instant::now(), History::default());
        for read in 0..100_000_u64 {
            history.record(
                start + Duration::from_millis(read * 50),
                &snapshot(read, 100 + read),
            );
        }
        assert!(
            history.columns.len() <= COLUMNS,
            "{}",
            history.columns.len()
        );
        assert!(history.moments.len() <= MOMENTS);
        let now = start + Duration::from_secs(5000);
        let before = history.before(now).expect("a moment before");
        let age = now - before.at;
        assert!(age >= OLD_ENOUGH && age < OLD_ENOUGH + 2 * APART, "{age:?}");
    }

    #[test]
    fn what_is_older_than_the_window_goes() {
        let (start, mut history) = (Instant::now(), History::default());
        let hour = Duration::from_hours(1);
        for read in 0..10 {
            history.record(start + hour * read, &snapshot(read.into(), 1000));
        }
        assert_eq!(history.columns.len(), 1, "the last, which is an hour wide");
    }

    #[test]
    fn a_rate_takes_two_moments() {
        let (start, mut history) = (Instant::now(), History::default());
        assert!(history.before(start).is_none());
        history.record(start, &snapshot(1, 1000));
        assert!(history.before(start).is_none());
        assert!(history.before(start + Duration::from_millis(100)).is_none());
        let before = history.before(start + Duration::from_secs(1));
        assert_eq!(before.map(|moment| moment.at), Some(start));
    }
}
