//! Lines of figures for groups, with the stacks of a group below its line.

use std::mem;

use crate::{
    kernel::functions::UNKNOWN,
    session::by::{By, Value},
    text::{self, Column, Flush},
};

/// Lines that grow downwards.
pub struct Grid<'a> {
    by: &'a [By],
    columns: Vec<(String, Flush)>,
    lines: Vec<Vec<String>>,
    /// What stands below each line.
    below: Vec<String>,
}

impl<'a> Grid<'a> {
    /// Of groups that are told by some dimensions, and what else each line has.
    pub fn new(by: &'a [By], columns: &[Column]) -> Self {
        let number = by.iter().copied().any(is_stack).then(|| "STACK".to_owned());
        let plain = by.iter().filter(|by| !is_stack(**by));
        let keys = number
            .into_iter()
            .chain(plain.map(|by| by.name().to_uppercase()));
        let keys = keys.map(|title| (title, Flush::Left));
        let columns = columns
            .iter()
            .map(|(title, flush)| ((*title).to_owned(), *flush));
        Self {
            by,
            columns: keys.chain(columns).collect(),
            lines: vec![],
            below: vec![],
        }
    }

    /// A line of a group, which is the `number`th from 1. Its stacks come below, the innermost function first.
    pub fn group(&mut self, number: usize, key: &[Value], cells: impl IntoIterator<Item = String>) {
        let (mut line, mut stacks) = (vec![], vec![]);
        for (by, value) in self.by.iter().zip(key) {
            if is_stack(*by) {
                stacks.push(frames(value));
            } else {
                line.push(plain(value));
            }
        }
        if !stacks.is_empty() {
            line.insert(0, format!("#{number}"));
        }
        line.extend(cells);
        self.lines.push(line);
        self.below.push(stacks.join("    --\n"));
    }

    /// A further line of the same group; its stacks come below that.
    pub fn further(&mut self, cells: impl IntoIterator<Item = String>) {
        let below = self.below.last_mut().map(mem::take);
        self.total("", cells);
        self.below.pop();
        self.below.push(below.unwrap_or_default());
    }

    /// A line of no group.
    pub fn total(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<_> = cells.into_iter().collect();
        let mut line = vec![String::new(); self.columns.len() - cells.len()];
        if let Some(first) = line.first_mut() {
            name.clone_into(first);
        }
        line.extend(cells);
        self.lines.push(line);
        self.below.push(String::new());
    }

    /// All of it; lines end where their text does.
    pub fn text(&self) -> String {
        let lines = text::aligned(&self.columns, &self.lines);
        // The first line has the titles.
        let below = std::iter::once("").chain(self.below.iter().map(String::as_str));
        let lines = lines.split_inclusive('\n').zip(below);
        lines.flat_map(|(line, below)| [line, below]).collect()
    }
}

pub const fn is_stack(by: By) -> bool {
    matches!(by, By::Kstack | By::Ustack)
}

/// In a cell.
fn plain(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Stack(frames) => frames.join(" "),
    }
}

/// A line for each function.
fn frames(value: &Value) -> String {
    match value {
        Value::Stack(frames) if !frames.is_empty() => format!("    {}\n", frames.join("\n    ")),
        Value::Stack(_) => format!("    {UNKNOWN}\n"),
        other => format!("    {}\n", plain(other)),
    }
}
