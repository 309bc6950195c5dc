//! Stacks as tools for flame graphs read them: a line for each group, outermost first, and its calls.

use anyhow::{Result, bail};

use super::grid::is_stack;
use crate::{
    kernel::functions::UNKNOWN,
    session::{
        by::{By, Value},
        table::{Row, Table},
    },
};

/// Whether groups have stacks.
#[must_use]
pub fn has_stacks(by: &[By]) -> bool {
    by.iter().copied().any(is_stack)
}

/// `FRAME;FRAME;FRAME CALLS`. What else groups are told by comes first, a frame each; then the user's stack, then the
/// kernel's. Groups without a call of their own have no line.
///
/// # Errors
/// When groups have no stacks.
pub fn folded(table: &Table) -> Result<String> {
    Ok(lines(table, "")?.concat())
}

/// As [`folded`], a line each, with something behind each frame of the kernel.
pub(super) fn lines(table: &Table, kernel: &str) -> Result<Vec<String>> {
    if !has_stacks(&table.by) {
        bail!("calls are not told by their stacks: add kstack or ustack to --by");
    }
    let rows = table.rows.iter().filter(|row| row.tally.calls > 0);
    let line = |row: &Row| {
        let stack = frames(&table.by, row, kernel).join(";");
        format!("{stack} {}\n", row.tally.calls)
    };
    Ok(rows.map(line).collect())
}

/// A stack in one field, outermost first.
pub(super) fn stack(frames: &[String]) -> String {
    outermost_first(frames).join(";")
}

fn frames(by: &[By], row: &Row, kernel: &str) -> Vec<String> {
    let (mut plain, mut user, mut inside) = (vec![], vec![], vec![]);
    for (by, value) in by.iter().zip(&row.key) {
        match (by, value) {
            (By::Kstack, Value::Stack(frames)) => inside = outermost_first(frames),
            (_, Value::Stack(frames)) => user = outermost_first(frames),
            (_, Value::Text(text)) => plain.push(frame(text)),
            (_, Value::Number(number)) => plain.push(format!("{} {number}", by.name())),
        }
    }
    let inside = inside.into_iter().map(|frame| frame + kernel);
    plain.into_iter().chain(user).chain(inside).collect()
}

fn outermost_first(frames: &[String]) -> Vec<String> {
    if frames.is_empty() {
        return vec![UNKNOWN.into()];
    }
    frames.iter().rev().map(|name| frame(name)).collect()
}

/// A name without what separates frames.
fn frame(name: &str) -> String {
    name.replace(';', "\\x3b")
}
