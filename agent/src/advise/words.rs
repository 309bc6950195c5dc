//! Advice for people.

use std::fmt;

use super::{Advice, Choice};
use crate::text::{self, Column, Flush};

const COLUMNS: [Column; 9] = [
    ("", Flush::Left),
    ("LAYOUT", Flush::Left),
    ("MAP", Flush::Left),
    ("RAM", Flush::Right),
    ("TABLES", Flush::Right),
    ("ON DEVICE", Flush::Right),
    ("USABLE", Flush::Right),
    ("SAVES RAM", Flush::Right),
    ("COMMAND", Flush::Left),
];

/// Prints advice.
pub struct Words<'a>(pub &'a [Advice<'a>]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(
                f,
                "No devices: sysfs has neither dax devices nor namespaces of persistent memory."
            );
        }
        for advice in self.0 {
            one(f, advice)?;
        }
        writeln!(
            f,
            "> now  m least RAM with struct pages in RAM  d least RAM of all; figures of layouts are by formula"
        )?;
        writeln!(
            f,
            "WARNING: each command destroys all data on its device. Stop what uses it, and save what is on it, before. \
             daxscope runs none of them.\nKernels since 5.18 take a device down under its pins, and crash when those are \
             given back: `daxscope holders` names who has any."
        )
    }
}

fn one(f: &mut fmt::Formatter, advice: &Advice) -> fmt::Result {
    let device = advice.device;
    let of = [device.namespace.as_deref(), device.region.as_deref()];
    let of: Vec<_> = of.into_iter().flatten().collect();
    writeln!(f, "{} ({}): {}", device.device, of.join(", "), now(advice))?;
    match &advice.options {
        Ok(options) => {
            let rows: Vec<_> = options.iter().map(|option| row(advice, option)).collect();
            writeln!(f, "{}", text::table(COLUMNS, &rows))
        }
        Err(reason) => writeln!(f, "  no advice: {reason}\n"),
    }
}

/// What it costs now.
fn now(advice: &Advice) -> String {
    let Some(account) = &advice.now else {
        return format!("{}, without a pagemap now", advice.device.mode);
    };
    let method = match &account.measured {
        Ok(_) if account.sampled() => "from a sample",
        Ok(_) => "measured",
        Err(_) => "by formula",
    };
    let cost = match account.used() {
        Ok(cost) => format!(
            "{} of RAM, {} of page tables, {} on the device, {method}",
            text::bytes(cost.ram),
            text::bytes(cost.tables),
            text::bytes(cost.device),
        ),
        Err(reason) => format!("cost unknown: {reason}"),
    };
    let shared = match &account.deduplicated {
        Ok(()) => "deduplicated".to_owned(),
        Err(why) => format!("not deduplicated, {why}"),
    };
    let off = account
        .disagreement()
        .filter(|off| *off != 0 && !account.sampled());
    let off = off.map_or(
        "",
        |_| "; NOTE: the formula is off on this kernel, so it may be for other layouts",
    );
    format!("{} now: {cost}; {shared}{off}", advice.device.mode)
}

fn row(advice: &Advice, option: &Choice) -> [String; COLUMNS.len()] {
    let [least, in_ram] = advice.least();
    let is = |other: Option<&Choice>| other.is_some_and(|other| std::ptr::eq(other, option));
    let marks = [(option.now, '>'), (is(in_ram), 'm'), (is(least), 'd')];
    let marks: String = marks
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, mark)| *mark)
        .collect();
    let layout = option.layout;
    let (cells, command) = match &option.outcome {
        Ok(outcome) => {
            let bytes = |bytes| match bytes {
                0 => "-".to_owned(),
                some => text::bytes(some),
            };
            let cost = advice.cost(option).unwrap_or(outcome.cost);
            let usable = text::bytes(outcome.usable);
            let saves = advice.saves(option).map_or("-".into(), text::signed_bytes);
            let cells = [
                bytes(cost.ram),
                bytes(cost.tables),
                bytes(cost.device),
                usable,
                saves,
            ];
            (cells, option.command.clone())
        }
        Err(reason) => (["-"; 5].map(str::to_owned), format!("cannot be: {reason}")),
    };
    let [ram, tables, device, usable, saves] = cells;
    let map = layout.map.name().to_owned();
    [
        marks,
        layout.name(),
        map,
        ram,
        tables,
        device,
        usable,
        saves,
        command,
    ]
}
