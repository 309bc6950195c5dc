//! Two sessions side by side, for people.

use std::fmt;

use super::{Diff, Group, NAMES};
use crate::{
    session::{
        tally::PERCENTILE_ERROR,
        views::{
            grid::Grid,
            words::{self, FIGURES},
        },
    },
    text::{self, Column, Flush},
};

/// A figure of each of [`FIGURES`].
const RATIOS: [&str; FIGURES.len()] = [
    "calls",
    "pages",
    "errors",
    "p50_ns",
    "p90_ns",
    "p99_ns",
    "p999_ns",
    "max_ns",
    "pages_per_second",
];

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (name, table) in NAMES.iter().zip(&self.tables) {
            writeln!(
                f,
                "{name}: {}: {}",
                words::subject(table),
                words::place(table)
            )?;
        }
        if !self.differences.is_empty() {
            let left = |title| (title, Flush::Left);
            let rows = self.differences.iter().map(|difference| {
                let [a, b] = difference.was.clone();
                [difference.what.clone(), a, b]
            });
            let rows: Vec<_> = rows.collect();
            let columns = [left("DIFFERENT"), left(NAMES[0]), left(NAMES[1])];
            writeln!(f, "\n{}", text::table(columns, &rows))?;
        }
        if self.groups.is_empty() {
            writeln!(f, "No calls.")?;
        } else {
            f.write_str(&self.lines())?;
            let each = 1.0 + PERCENTILE_ERROR / 100.0;
            let most = (each / (2.0 - each) - 1.0) * 100.0;
            writeln!(f, "B/A of percentiles is within {most:.0} %.")?;
        }
        f.write_str(&self.notes())
    }
}

impl Diff {
    /// How exact the figures of each session are, and what is not in them; once what is true of both.
    #[must_use]
    pub fn notes(&self) -> String {
        let [a, b] = self.tables.each_ref().map(words::notes);
        let of = |names: &str, note: &str| format!("{names}: {note}\n");
        let first = a.lines().map(|note| {
            let both = b.lines().any(|other| other == note);
            of(if both { "A, B" } else { "A" }, note)
        });
        let second = b
            .lines()
            .filter(|note| a.lines().all(|other| other != *note));
        first.chain(second.map(|note| of("B", note))).collect()
    }

    /// Three lines for each group: the sessions, and the ratio.
    fn lines(&self) -> String {
        let columns: Vec<Column> = [("", Flush::Left)].into_iter().chain(FIGURES).collect();
        let by = &self.tables[0].by;
        let mut grid = Grid::new(by, &columns);
        if !by.is_empty() {
            for (n, group) in self.groups.iter().enumerate() {
                let [a, b, ratios] = lines(group);
                grid.group(n + 1, &group.key, a);
                grid.further(b);
                grid.further(ratios);
            }
        }
        let [a, b, ratios] = lines(&self.total());
        grid.total("total", a);
        grid.further(b);
        grid.further(ratios);
        grid.text()
    }
}

type Line = Vec<String>;

fn lines(group: &Group) -> [Line; 3] {
    let none = [const { String::new() }; FIGURES.len()].map(|_| "-".to_owned());
    let side = |n: usize| {
        let figures = group.tallies[n]
            .as_ref()
            .map_or(none.clone(), words::figures);
        std::iter::once(NAMES[n].to_owned())
            .chain(figures)
            .collect()
    };
    let ratios = group.compared();
    let of = |name: &&str| {
        let found = ratios.iter().find(|figure| figure.name == *name);
        found
            .and_then(|figure| figure.ratio)
            .map_or("-".into(), short)
    };
    let ratios = RATIOS.iter().map(of);
    [
        side(0),
        side(1),
        std::iter::once("B/A".to_owned()).chain(ratios).collect(),
    ]
}

/// To two or three digits, and all that are before the point: `0.039`, `0.52`, `10.3`, `1200`.
fn short(ratio: f64) -> String {
    let digits = match ratio {
        ..0.0995 => 3,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{ratio:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{tally::Tally, views::figures};

    #[test]
    fn each_column_has_its_ratio() {
        let names = figures(&Tally::default()).map(|(name, _)| name);
        assert!(RATIOS.iter().all(|ratio| names.contains(ratio)));
        let texts = [0.0, 0.0387, 0.516, 9.996, 10.26, 99.96, 1200.4].map(short);
        assert_eq!(
            texts,
            ["0.000", "0.039", "0.52", "10.0", "10.3", "100", "1200"]
        );
    }
}
