//! The tables of docs/cost.md, between two marks; what stands around them is written by hand.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};

use super::record::{Figures, Record};
use super::rows::{self, Cell, PEERS, Unit};
use crate::command::workspace;

const FILE: &str = "docs/cost.md";
const BEGIN: &str = "<!-- figures: written by `cargo xtask bench --write` -->\n";
const END: &str = "<!-- end of figures -->\n";

pub fn write(record: &Record) -> Result<()> {
    let file = workspace().join(FILE);
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let text = between(&text, &tables(record))
        .with_context(|| format!("{FILE} has no marks for its figures"))?;
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn between(text: &str, tables: &str) -> Option<String> {
    let (head, rest) = text.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}\n{tables}\n{END}{tail}"))
}

fn tables(record: &Record) -> String {
    let kernels: Vec<String> = record.kernels.iter().map(table).collect();
    let mut text = kernels.join("\n");
    text.push_str("\n### Made with\n\n| what | which |\n|---|---|\n");
    for (what, which) in &record.made {
        let _ = writeln!(text, "| {what} | {which} |");
    }
    text
}

/// One kernel, with the reasons for what is not there below it.
pub fn table(figures: &Figures) -> String {
    let mut notes: Vec<String> = Vec::new();
    let mut text = format!("### {} ({})\n\n", figures.suite, figures.release);
    let _ = writeln!(
        text,
        "| what | target | floor | daxscope | | {} |\n|---|---|--:|--:|---|{}",
        PEERS.join(" | "),
        "--:|".repeat(PEERS.len())
    );
    for line in rows::of(figures) {
        let mut show = |cell: &Cell| shown(cell, line.unit, &mut notes);
        let (floor, ours) = (show(&line.floor), show(&line.ours));
        let peers = line.peers.iter().map(show).collect::<Vec<_>>().join(" | ");
        let _ = writeln!(
            text,
            "| {} | {} | {floor} | {ours} | {} | {peers} |",
            line.what, line.target, line.verdict
        );
    }
    if !notes.is_empty() {
        text.push('\n');
    }
    for (number, note) in notes.iter().enumerate() {
        let _ = writeln!(text, "{}. {note}", number + 1);
    }
    text
}

fn shown(cell: &Cell, unit: Unit, notes: &mut Vec<String>) -> String {
    match cell {
        None => String::new(),
        Some(Ok(amount)) if unit == Unit::Instructions && amount.spread >= 1.0 => {
            format!("{} ± {:.0}", unit.show(amount.value), amount.spread)
        }
        Some(Ok(amount)) => unit.show(amount.value),
        Some(Err(reason)) => {
            let known = notes.iter().position(|note| note == reason);
            let number = known.unwrap_or_else(|| {
                notes.push(reason.clone());
                notes.len() - 1
            });
            format!("– ({})", number + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::reading::{Amount, Reading};

    #[test]
    fn a_reason_is_a_note_and_a_spread_is_told() {
        let refused = || Err(anyhow::anyhow!("refused"));
        let amount = Amount {
            value: 612.0,
            spread: 3.0,
            base: None,
        };
        let readings = vec![
            Reading::new("get", "daxscope/fentry", Ok(amount)),
            Reading::new("get", "bpftrace/fentry", refused()),
            Reading::new("pin", "bpftrace/fentry", refused()),
        ];
        let figures = Figures {
            suite: "bookworm".into(),
            release: "6.1".into(),
            readings,
        };
        let text = table(&figures);
        assert!(text.contains("| 612 ± 3 | first met | – (1) |"), "{text}");
        assert_eq!(text.matches("refused").count(), 1, "{text}");
        assert!(text.contains("\n1. refused\n"), "{text}");
    }

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let text = format!("head\n{BEGIN}old\n{END}tail\n");
        let new = between(&text, "new").expect("marks");
        assert_eq!(new, format!("head\n{BEGIN}\nnew\n{END}tail\n"));
        assert_eq!(between(&new, "new"), Some(new.clone()));
        assert!(between("no marks", "new").is_none());
    }
}
