//! A table for people.

use std::{collections::BTreeMap, fmt};

use super::{P50, P90, P99, P999, grid::Grid};
use crate::{
    session::{
        losses,
        table::Table,
        tally::{PERCENTILE_ERROR, Tally},
    },
    text::{self, Column, Flush},
};

/// Columns of figures.
pub(in crate::session) const FIGURES: [Column; 9] = [
    ("CALLS", Flush::Right),
    ("PAGES", Flush::Right),
    ("ERRORS", Flush::Right),
    ("P50", Flush::Right),
    ("P90", Flush::Right),
    ("P99", Flush::Right),
    ("P99.9", Flush::Right),
    ("MAX", Flush::Right),
    ("PAGES/S", Flush::Right),
];

/// Prints a table.
pub struct Words<'a>(pub &'a Table);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self(table) = self;
        writeln!(f, "{}: {}", subject(table), place(table))?;
        if table.rows.is_empty() {
            writeln!(f, "No calls.")?;
        } else {
            f.write_str(&groups(table))?;
        }
        f.write_str(&notes(table))
    }
}

/// What was watched: `gup by geometry, device`.
pub(in crate::session) fn subject(table: &Table) -> String {
    let rooms = table.about.rooms.join(", ");
    let by: Vec<_> = table.by.iter().map(|by| by.name()).collect();
    match by.as_slice() {
        [] => rooms,
        some => format!("{rooms} by {}", some.join(", ")),
    }
}

/// How long, when, where, and of which calls.
pub(in crate::session) fn place(table: &Table) -> String {
    let about = &table.about;
    let only = |before: &str, words: &[String]| match words {
        [] => String::new(),
        some => format!(", only {before}{}", some.join(" ")),
    };
    format!(
        "{} from {} on {}, Linux {}{}{}",
        text::duration(table.elapsed.saturating_mul(1_000_000)),
        moment(about.begun),
        about.host,
        about.kernel,
        only("", &about.filters),
        only("of ", &about.command),
    )
}

/// A text of at most so many characters, for a place in a picture.
pub(super) fn fitting(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Milliseconds since 1970 to the second: `2026-11-22T20:08:17Z`.
fn moment(ms: u64) -> String {
    let whole = text::utc((ms / 1000).saturating_mul(1_000_000_000));
    let seconds = whole.split('.').next().unwrap_or_default();
    format!("{seconds}Z")
}

/// A line for each group, and one for all. Without dimensions the one group is all.
fn groups(table: &Table) -> String {
    let mut grid = Grid::new(&table.by, &FIGURES);
    if !table.by.is_empty() {
        for (n, row) in table.rows.iter().enumerate() {
            grid.group(n + 1, &row.key, figures(&row.tally));
        }
    }
    grid.total("total", figures(&table.total));
    grid.text()
}

/// The cells of [`FIGURES`].
pub(in crate::session) fn figures(tally: &Tally) -> [String; FIGURES.len()] {
    let time = |ns: Option<u64>| ns.map_or("-".into(), text::duration);
    let percentile = |share| time(tally.percentile(share));
    let sampled = if tally.sampled > 0 { "~" } else { "" };
    [
        tally.calls.to_string(),
        format!("{sampled}{}", tally.pages),
        tally.errors.to_string(),
        percentile(P50),
        percentile(P90),
        percentile(P99),
        percentile(P999),
        time((tally.timed() > 0).then_some(tally.max_ns)),
        tally.pages_per_second().map_or("-".into(), text::count),
    ]
}

/// How exact the figures are, and what is not in them.
#[must_use]
pub fn notes(table: &Table) -> String {
    let total = &table.total;
    let mut notes = vec![];
    if total.timed() > 0 {
        notes.push(format!(
            "P50 to P99.9 are within {PERCENTILE_ERROR} %. PAGES/S: for each second inside the calls."
        ));
    }
    let untimed = total.calls.saturating_sub(total.timed());
    if untimed > 0 {
        notes.push(format!(
            "{untimed} of the calls were not timed; their pages are in PAGES/S."
        ));
    }
    if total.overflow() > 0 {
        notes.push(format!(
            "{} of the calls took more than {}: percentiles among them are at most what is shown.",
            total.overflow(),
            text::duration(daxscope_common::hist::MAX),
        ));
    }
    if total.sampled > 0 {
        notes.push(format!(
            "~ {} of the calls had so many pages that some were counted as their neighbours are.",
            total.sampled
        ));
    }
    lines(&notes) + &gaps(table)
}

/// What is in no figure.
#[must_use]
pub fn gaps(table: &Table) -> String {
    let mut gaps = losses::words(&table.lost);
    gaps.extend(unwatched(table));
    lines(&gaps)
}

fn lines(notes: &[String]) -> String {
    notes.iter().flat_map(|note| [note, "\n"]).collect()
}

/// Places that no probe could be attached to, by the reason.
fn unwatched(table: &Table) -> Vec<String> {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let points = table.about.points.iter();
    for point in points.filter(|point| point.mechanism.is_none()) {
        let entries = reasons.entry(&point.reason).or_default();
        entries.push(&point.entry);
    }
    let lines = reasons.into_iter();
    lines
        .map(|(reason, entries)| format!("not watched: {}: {reason}", entries.join(", ")))
        .collect()
}
