//! Durations of each group as bars of text.

use std::collections::BTreeMap;

use super::ranges::Ranges;
use crate::{
    session::{
        by::{By, Value},
        table::{Row, Table},
        tally::Tally,
    },
    text::{self, Flush},
};

/// The most lines of a group, unless its calls took from nanoseconds to minutes.
const LINES: usize = 24;
/// The longest bar, in characters.
const WIDTH: u64 = 40;

/// A histogram for each group, in the order of the table.
#[must_use]
pub fn hists(table: &Table) -> String {
    let hist = |(n, row): (usize, &Row)| {
        let title = title(&table.by, &row.key, n + 1);
        let below = if title.is_empty() { "" } else { "\n" };
        format!("\n{title}{below}{}", bars(&row.tally))
    };
    let hists: Vec<_> = table.rows.iter().enumerate().map(hist).collect();
    hists.concat()
}

/// `2M, pin_user_pages_fast`; stacks are the number of their line in the table.
pub(super) fn title(by: &[By], key: &[Value], number: usize) -> String {
    let mut words = vec![];
    if key.iter().any(|value| matches!(value, Value::Stack(_))) {
        words.push(format!("#{number}"));
    }
    for (by, value) in by.iter().zip(key) {
        match value {
            Value::Text(text) => words.push(text.clone()),
            Value::Number(number) => words.push(format!("{} {number}", by.name())),
            Value::Stack(_) => {}
        }
    }
    words.join(", ")
}

/// A line for each range of durations from the shortest to the longest call, also for those without any.
fn bars(tally: &Tally) -> String {
    let mut slots = tally.slots.keys();
    let Some(first) = slots.next() else {
        return "no call was timed\n".into();
    };
    let last = slots.next_back().unwrap_or(first);
    let ranges = Ranges::new([*first, *last], LINES);
    let all = ranges.of(*first)..=ranges.of(*last);
    let mut lines: BTreeMap<usize, u64> = all.map(|range| (range, 0)).collect();
    for (slot, n) in &tally.slots {
        *lines.entry(ranges.of(*slot)).or_default() += n;
    }
    let most = lines.values().copied().max().unwrap_or(0).max(1);
    let row = |(range, n)| {
        let [from, to] = ranges
            .bounds(range)
            .map(|ns| ns.map_or(String::new(), text::duration));
        [from, to, u64::to_string(&n), format!("|{}", bar(n, most))]
    };
    let rows: Vec<_> = lines.into_iter().map(row).collect();
    let right = |title| (title, Flush::Right);
    let columns = [
        right("LONGER THAN"),
        right("UP TO"),
        right("CALLS"),
        ("", Flush::Left),
    ];
    text::table(columns, &rows)
}

/// Something for whatever is not 0: eighths of a character.
fn bar(n: u64, most: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (u128::from(n) * u128::from(WIDTH) * 8).div_ceil(u128::from(most));
    let eighths = usize::try_from(eighths).unwrap_or(0);
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}
