//! A table of groups.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};

use super::{
    columns::{Column, Since},
    model::{Row, Tallies, words},
    paint::{Lines, put, put_right},
};
use crate::session::by::By;

/// From this width on there are more columns.
const WIDE: u16 = 100;

/// What a table shows, and how.
pub struct Table<'a> {
    pub by: &'a [By],
    pub rows: &'a [Row],
    /// Rows above the first that is shown.
    pub above: usize,
    pub since: Since,
    pub sort: Column,
    /// Whether keys are for it.
    pub focused: bool,
    /// Whether a line of all comes first.
    pub sum: bool,
    pub colours: bool,
}

impl Table<'_> {
    /// Writes the titles, and below them as many rows as there is room for.
    pub fn draw(&self, area: Rect, buffer: &mut Buffer) {
        let mut lines = Lines(area);
        self.titles(lines.take(1), buffer);
        let bold = Style::new().add_modifier(Modifier::BOLD);
        if self.sum {
            let mut all = Tallies::default();
            for Row { tallies, .. } in self.rows {
                all.now.add(&tallies.now);
                all.all.add(&tallies.all);
            }
            self.row("all", &all, bold, lines.take(1), buffer);
        }
        let dim = Style::new().add_modifier(Modifier::DIM);
        if self.rows.is_empty() && self.since != Since::Last(0) {
            put(buffer, lines.take(1), 1, "no calls", dim);
        }
        // Where nothing is told apart, the sum is all.
        let rows = self.rows.iter().filter(|row| !row.key.is_empty());
        for row in rows.skip(self.above).take(usize::from(lines.left())) {
            let key: Vec<_> = row.key.iter().map(words).collect();
            let idle = self.since != Since::Beginning && row.tallies.now.calls == 0;
            let style = if idle { dim } else { Style::new() };
            self.row(&key.join(" "), &row.tallies, style, lines.take(1), buffer);
        }
    }

    fn titles(&self, line: Rect, buffer: &mut Buffer) {
        let style = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
        buffer.set_style(line, style);
        let last = self.by.last();
        let name = last.map_or("all", |by| match by {
            By::Tgid => "process",
            By::Pid => "thread",
            by => by.name(),
        });
        let mark = if self.focused { "►" } else { " " };
        let title = format!("{mark}{} ({})", name.to_uppercase(), self.rows.len());
        put(buffer, line, 0, &title, style);
        for (column, end) in columns(line.width) {
            let mark = if *column == self.sort { "▼" } else { "" };
            let title = format!("{mark}{}", column.title(self.since));
            put_right(buffer, line, end, &title, style);
        }
    }

    fn row(&self, key: &str, tallies: &Tallies, style: Style, line: Rect, buffer: &mut Buffer) {
        let tally = match self.since {
            Since::Last(_) => &tallies.now,
            Since::Beginning => &tallies.all,
        };
        let room = Rect {
            width: key_width(line.width),
            ..line
        };
        put(buffer, room, 1, key, style);
        for (column, end) in columns(line.width) {
            let failed = *column == Column::Errors && tally.errors > 0;
            let style = if failed {
                alarm(style, self.colours)
            } else {
                style
            };
            put_right(buffer, line, end, &column.cell(tally, self.since), style);
        }
    }
}

/// What somebody should not overlook.
#[must_use]
pub fn alarm(style: Style, colours: bool) -> Style {
    let style = style.add_modifier(Modifier::BOLD);
    if colours { style.fg(Color::Red) } else { style }
}

/// The columns of a line so wide, with where each ends.
fn columns(width: u16) -> impl Iterator<Item = (&'static Column, u16)> {
    shown(width).iter().scan(key_width(width), |end, column| {
        *end += column.width();
        Some((column, *end))
    })
}

fn shown(width: u16) -> &'static [Column] {
    if width < WIDE {
        &Column::ALWAYS
    } else {
        &Column::WIDE
    }
}

/// What is left for the names of groups.
fn key_width(width: u16) -> u16 {
    let columns: u16 = shown(width).iter().map(|column| column.width()).sum();
    width.saturating_sub(columns)
}
