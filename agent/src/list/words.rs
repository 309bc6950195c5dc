//! The report for people.

use std::fmt;

use super::{Count, Report};
use crate::{
    inventory::{
        Range, Source,
        account::Account,
        cost::Cost,
        names::{Device, Map},
    },
    probes::geometry,
    text::{self, Column, Flush},
};

const COLUMNS: [Column; 14] = [
    ("DEVICE", Flush::Left),
    ("RANGE", Flush::Left),
    ("NODE", Flush::Right),
    ("SIZE", Flush::Right),
    ("GEOMETRY", Flush::Right),
    ("TYPE", Flush::Left),
    ("MODE", Flush::Left),
    ("STRUCT PAGES", Flush::Right),
    ("RAM", Flush::Right),
    ("TABLES", Flush::Right),
    ("ON DEVICE", Flush::Right),
    ("SAVED", Flush::Right),
    ("PINNED", Flush::Right),
    ("DEDUPLICATED", Flush::Left),
];
/// Where a range stands; further ones of a pagemap follow in lines of their own.
const RANGE: usize = 1;

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.accounts.is_empty() {
            writeln!(
                f,
                "{}",
                if self.inventory.skipped.is_empty() {
                    "No pagemaps: this host has no memory with struct pages of devices."
                } else {
                    "No pagemaps can be shown; what is left out is below."
                }
            )?;
        } else {
            let rows: Vec<_> = self.accounts.iter().flat_map(|a| self.rows(a)).collect();
            writeln!(f, "{}", text::table(COLUMNS, &rows))?;
            self.total(f)?;
        }
        if let Some(count) = self.kernels_count() {
            writeln!(f, "kernel: {}", self.kernels_words(&count))?;
        }
        match &self.inventory.source {
            Source::PgmapArray => writeln!(f, "source: the kernel's list of pagemaps")?,
            Source::Sysfs { reason } => writeln!(
                f,
                "source: sysfs, which knows only devices; not the kernel's list: {reason}"
            )?,
        }
        for reason in &self.inventory.skipped {
            writeln!(f, "left out: {reason}")?;
        }
        for (note, labels) in self.notes().into_iter().chain(self.untold()) {
            writeln!(f, "{}: {note}", labels.join(" "))?;
        }
        Ok(())
    }
}

impl Report<'_> {
    /// The line of a pagemap, and one for each further range.
    fn rows(&self, account: &Account) -> Vec<[String; COLUMNS.len()]> {
        let pagemap = account.pagemap;
        let geometry = match &pagemap.shift {
            Ok(shift) => geometry::label(self.page_shift + shift),
            Err(_) => "?".to_owned(),
        };
        let used = account.used();
        let mark = match &account.measured {
            Ok(_) if account.sampled() => "~",
            Ok(_) => "",
            Err(_) => "*",
        };
        let part = |of: fn(&Cost) -> u64| match &used {
            Ok(cost) if of(cost) == 0 => "-".to_owned(),
            Ok(cost) => format!("{mark}{}", text::bytes(of(cost))),
            Err(_) => "?".to_owned(),
        };
        let pinned = match &pagemap.pins {
            Ok(pins) if pins.looked < pins.units => format!(">={}", pins.pages),
            Ok(pins) => pins.pages.to_string(),
            Err(_) => "?".to_owned(),
        };
        let mut ranges = pagemap
            .ranges
            .iter()
            .map(|range| format!("{:x}-{:x}", range.start, range.end));
        let first = [
            account.label.clone(),
            ranges.next().unwrap_or_default(),
            account
                .device
                .and_then(|device| device.node)
                .map_or("-".into(), |n| n.to_string()),
            text::bytes(pagemap.ranges.iter().map(Range::bytes).sum()),
            geometry,
            pagemap.kind.clone(),
            account.device.map_or("-".into(), mode),
            pagemap.struct_pages(self.page_shift).to_string(),
            part(|cost| cost.ram),
            part(|cost| cost.tables),
            part(|cost| cost.device),
            account.saved().map_or("?".into(), |saved| {
                format!("{mark}{}", text::signed_bytes(saved))
            }),
            pinned,
            match &account.deduplicated {
                Ok(()) => format!("{mark}yes"),
                Err(why) if why.word == "unknown" => "?".to_owned(),
                Err(why) => format!("no: {}", why.word),
            },
        ];
        let further = ranges.map(|range| {
            let mut row = [const { String::new() }; COLUMNS.len()];
            row[RANGE] = range;
            row
        });
        std::iter::once(first).chain(further).collect()
    }

    fn total(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let used = self.used();
        let pages: u64 = self
            .accounts
            .iter()
            .map(|a| a.pagemap.struct_pages(self.page_shift))
            .sum();
        let known = self
            .accounts
            .iter()
            .filter_map(|account| account.saved().ok());
        let unknown = self
            .accounts
            .iter()
            .filter(|account| account.used().is_err());
        let unknown = match unknown.count() {
            0 => String::new(),
            n => format!("; without {n} of which it is not known"),
        };
        writeln!(
            f,
            "total: {pages} struct pages in {} of RAM and {} of devices, {} of page tables; {} saved against base pages{unknown}",
            text::bytes(used.ram),
            text::bytes(used.device),
            text::bytes(used.tables),
            text::signed_bytes(known.sum()),
        )
    }

    /// The kernel's count against ours.
    fn kernels_words(&self, count: &Count) -> String {
        let Count { kernel, ours, base } = *count;
        let counts =
            format!("nr_memmap_pages says {kernel} pages of struct pages, daxscope {ours}");
        let off = text::bytes(kernel.abs_diff(ours) << self.page_shift);
        if kernel == ours {
            format!("{counts}: no difference")
        } else if base == Some(kernel) {
            format!(
                "{counts}: the kernel is {off} too high, its counter does not know deduplication"
            )
        } else if kernel > ours {
            format!("{counts}: {off} more; RAM added while the kernel runs is in its count too")
        } else {
            format!("{counts}: the kernel has {off} less")
        }
    }

    /// What is odd, though told.
    fn notes(&self) -> Vec<(String, Vec<&str>)> {
        let sampled = self.accounts.iter().filter_map(|account| {
            let backing = account
                .pagemap
                .backing
                .as_ref()
                .ok()
                .filter(|b| !b.complete())?;
            let looked = format!(
                "~ from a sample: {} of {} pieces",
                backing.looked, backing.pieces
            );
            Some((looked, vec![account.label.as_str()]))
        });
        let disagree = self
            .accounts
            .iter()
            .filter(|account| !account.sampled())
            .filter_map(|account| {
                let off = account.disagreement().filter(|off| *off != 0)?;
                let by = text::bytes(off.unsigned_abs());
                let than = if off < 0 { "less" } else { "more" };
                let words = format!("measured {by} {than} than by formula; measured counts");
                Some((words, vec![account.label.as_str()]))
            });
        sampled.chain(disagree).collect()
    }
}

/// `devdax/mem`: the mode, and where struct pages were asked to be.
fn mode(device: &Device) -> String {
    match device.map.map(Map::name) {
        Some(map) => format!("{}/{map}", device.mode),
        None => device.mode.clone(),
    }
}
