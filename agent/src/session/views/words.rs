//! A table for people.

use std::{collections::BTreeMap, fmt};

use super::{P50, P90, P99, P999};
use crate::{
    kernel::functions::UNKNOWN,
    session::{
        by::{By, Value},
        losses,
        table::{Row, Table},
        tally::{PERCENTILE_ERROR, Tally},
    },
    text::{self, Flush},
};

const FIGURES: [&str; 9] = [
    "CALLS", "PAGES", "ERRORS", "P50", "P90", "P99", "P99.9", "MAX", "PAGES/S",
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
pub(super) fn subject(table: &Table) -> String {
    let rooms = table.about.rooms.join(", ");
    let by: Vec<_> = table.by.iter().map(|by| by.name()).collect();
    match by.as_slice() {
        [] => rooms,
        some => format!("{rooms} by {}", some.join(", ")),
    }
}

/// How long, when, where, and of which calls.
pub(super) fn place(table: &Table) -> String {
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

/// Milliseconds since 1970 to the second: `2026-11-22T20:08:17Z`.
fn moment(ms: u64) -> String {
    let whole = text::utc((ms / 1000).saturating_mul(1_000_000_000));
    let seconds = whole.split('.').next().unwrap_or_default();
    format!("{seconds}Z")
}

/// A line for each group, with its stacks below it, and one for all.
fn groups(table: &Table) -> String {
    let stack = |by: &By| matches!(by, By::Kstack | By::Ustack);
    let stacks = table.by.iter().any(stack);
    let mut columns: Vec<(String, Flush)> = vec![];
    if stacks {
        columns.push(("STACK".into(), Flush::Left));
    }
    let plain = table.by.iter().filter(|by| !stack(by));
    columns.extend(plain.map(|by| (by.name().to_uppercase(), Flush::Left)));
    let keys = columns.len();
    columns.extend(FIGURES.map(|title| (title.to_owned(), Flush::Right)));

    let mut cells: Vec<Vec<String>> = vec![];
    for (n, row) in table.rows.iter().enumerate() {
        let mut line = vec![];
        if stacks {
            line.push(format!("#{}", n + 1));
        }
        line.extend(row.key.iter().filter_map(plainly));
        line.extend(figures(&row.tally));
        cells.push(line);
    }
    let mut line = vec![String::new(); keys];
    if let Some(first) = line.first_mut() {
        "total".clone_into(first);
    }
    line.extend(figures(&table.total));
    // Without dimensions the one group is the total.
    if keys == 0 {
        cells.clear();
    }
    cells.push(line);

    let lines = text::aligned(&columns, &cells);
    if !stacks {
        return lines;
    }
    let mut text = String::new();
    for (n, line) in lines.lines().enumerate() {
        text.push_str(line);
        text.push('\n');
        // The first line has the titles, the last the total.
        if let Some(row) = n.checked_sub(1).and_then(|n| table.rows.get(n)) {
            text.push_str(&frames(row));
        }
    }
    text
}

/// A value that is no stack.
fn plainly(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::Text(text) => Some(text.clone()),
        Value::Stack(_) => None,
    }
}

/// The stacks of a group, one function a line, the innermost first; a line between two.
fn frames(row: &Row) -> String {
    let stacks = row.key.iter().filter_map(|value| match value {
        Value::Stack(frames) => Some(frames),
        _ => None,
    });
    let texts: Vec<String> = stacks
        .map(|frames| match frames.as_slice() {
            [] => format!("    {UNKNOWN}\n"),
            some => format!("    {}\n", some.join("\n    ")),
        })
        .collect();
    texts.join("    --\n")
}

fn figures(tally: &Tally) -> [String; FIGURES.len()] {
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
    notes.extend(losses::words(&table.lost));
    notes.extend(unwatched(table));
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
