//! Ground truth: what the kernel itself counted, read from places the agent does not write.

mod blocks;
mod instance;
mod returns;
mod stacks;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

pub use blocks::Blocks;
pub use returns::{Returns, Seen};
pub use stacks::Stacks;

const TRACEFS: &str = "/sys/kernel/tracing";

/// Entry points of get-user-pages with the labels the agent gives them (mm/gup.c).
pub const GUP: &[(&str, &str, &str)] = &[
    ("pin_user_pages", "pin", "slow"),
    ("pin_user_pages_fast", "pin", "fast"),
    ("pin_user_pages_remote", "pin", "remote"),
    ("pin_user_pages_unlocked", "pin", "unlocked"),
    ("get_user_pages", "get", "slow"),
    ("get_user_pages_fast", "get", "fast"),
    ("get_user_pages_remote", "get", "remote"),
    ("get_user_pages_unlocked", "get", "unlocked"),
];

/// What a new pagemap passes through, in call order (mm/memremap.c).
pub const MEMREMAP: &[&str] = &[
    "memremap_pages",
    "memunmap_pages",
    "__add_pages",
    "__populate_section_memmap",
    "vmemmap_populate",
    "memmap_init_zone_device",
];

/// `/proc/vmstat` after the per-CPU deltas were folded in; without that it lags by up to a batch per CPU.
pub fn vmstat() -> Result<BTreeMap<String, u64>> {
    fs::write("/proc/sys/vm/stat_refresh", "1").context("cannot fold the per-CPU vmstat deltas")?;
    let text = fs::read_to_string("/proc/vmstat").context("cannot read /proc/vmstat")?;
    text.lines().map(vmstat_line).collect()
}

fn vmstat_line(line: &str) -> Result<(String, u64)> {
    let (key, value) = line
        .split_once(' ')
        .with_context(|| format!("no value in vmstat line {line:?}"))?;
    // A gauge that is a little negative between folds prints as a huge number or with a sign; none of ours is.
    Ok((key.to_owned(), value.trim().parse().unwrap_or(0)))
}

/// `FOLL_PIN` references the kernel has taken and dropped since boot. `FOLL_GET` is never counted there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollPin {
    pub acquired: u64,
    pub released: u64,
}

impl FollPin {
    pub fn read() -> Result<FollPin> {
        FollPin::of(&vmstat()?)
    }

    pub fn of(vmstat: &BTreeMap<String, u64>) -> Result<FollPin> {
        let key = |name: &str| {
            vmstat
                .get(name)
                .copied()
                .with_context(|| format!("/proc/vmstat has no {name}"))
        };
        Ok(FollPin {
            acquired: key("nr_foll_pin_acquired")?,
            released: key("nr_foll_pin_released")?,
        })
    }

    pub fn since(self, before: FollPin) -> FollPin {
        FollPin {
            acquired: self.acquired - before.acquired,
            released: self.released - before.released,
        }
    }
}

/// Functions that have an ftrace site, the only ones a probe can sit on. Read once: they are many.
pub fn traceable() -> Result<&'static BTreeSet<String>> {
    static LIST: OnceLock<BTreeSet<String>> = OnceLock::new();
    if let Some(list) = LIST.get() {
        return Ok(list);
    }
    let path = Path::new(TRACEFS).join("available_filter_functions");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let names = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    Ok(LIST.get_or_init(|| names.map(str::to_owned).collect()))
}

/// Whether `struct dev_pagemap` has a `vmemmap_shift`: whether the kernel's type information mentions it at all.
pub fn has_vmemmap_shift() -> Result<bool> {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    if let Some(answer) = ANSWER.get() {
        return Ok(*answer);
    }
    let path = "/sys/kernel/btf/vmlinux";
    let blob = fs::read(path).with_context(|| format!("cannot read {path}"))?;
    let mut names = blob.split(|byte| *byte == 0);
    Ok(*ANSWER.get_or_init(|| names.any(|name| name == b"vmemmap_shift")))
}

/// Kprobes of our own, counting calls of kernel functions beside the agent and independent of it.
///
/// They are tracefs events, so they must be removed by hand: `Drop` does it.
pub struct Hits {
    symbols: Vec<String>,
}

impl Hits {
    /// Count calls of those of `symbols` that this kernel lets one probe.
    pub fn watch<'a>(symbols: impl IntoIterator<Item = &'a str>) -> Result<Hits> {
        let traceable = traceable()?;
        // The hit counter counts with recording off, and nobody reads the records.
        write_tracefs("tracing_on", "0")?;
        let mut hits = Hits {
            symbols: Vec::new(),
        };
        for symbol in symbols
            .into_iter()
            .filter(|symbol| traceable.contains(*symbol))
        {
            write_tracefs("kprobe_events", &format!("p:truth/{symbol} {symbol}"))?;
            hits.symbols.push(symbol.to_owned());
        }
        if hits.symbols.is_empty() {
            bail!("this kernel lets none of the wanted functions be probed");
        }
        write_tracefs("events/truth/enable", "1")?;
        Ok(hits)
    }

    /// Calls per function so far, those a busy kprobe could not take included.
    pub fn read(&self) -> Result<BTreeMap<String, u64>> {
        let path = Path::new(TRACEFS).join("kprobe_profile");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let counts = profile(&text)?;
        Ok(counts
            .into_iter()
            .filter(|(symbol, _)| self.symbols.contains(symbol))
            .collect())
    }
}

impl Drop for Hits {
    fn drop(&mut self) {
        let removed = write_tracefs("events/truth/enable", "0").and_then(|()| {
            self.symbols
                .iter()
                .try_for_each(|symbol| write_tracefs("kprobe_events", &format!("-:truth/{symbol}")))
        });
        if let Err(error) = removed {
            eprintln!("the oracle's kprobes stay behind: {error:#}");
        }
    }
}

/// What happened between two readings; a function that only the second names counts from zero.
pub fn since(
    after: &BTreeMap<String, u64>,
    before: &BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    after
        .iter()
        .map(|(key, now)| (key.clone(), now - before.get(key).copied().unwrap_or(0)))
        .collect()
}

/// Append, never truncate: opening `kprobe_events` with `O_TRUNC` removes everybody's probes.
pub fn write_tracefs(file: &str, text: &str) -> Result<()> {
    let path = Path::new(TRACEFS).join(file);
    OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {text:?} to {}", path.display()))
}

/// `kprobe_profile`: event, hits, misses.
fn profile(text: &str) -> Result<BTreeMap<String, u64>> {
    text.lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let (Some(event), Some(hits), Some(misses)) =
                (words.next(), words.next(), words.next())
            else {
                bail!("kprobe_profile line with fewer than three columns: {line:?}");
            };
            Ok((
                event.to_owned(),
                hits.parse::<u64>()? + misses.parse::<u64>()?,
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_line_counts_hits_and_misses() {
        let text = "  memremap_pages          3          0\n  __add_pages       10    2\n";
        let counts = profile(text).unwrap();
        assert_eq!(counts["memremap_pages"], 3);
        assert_eq!(counts["__add_pages"], 12);
        assert!(profile("  memremap_pages  3\n").is_err());
    }

    #[test]
    fn a_difference_counts_new_keys_from_zero() {
        let before = BTreeMap::from([("a".to_owned(), 5)]);
        let after = BTreeMap::from([("a".to_owned(), 7), ("b".to_owned(), 2)]);
        assert_eq!(
            since(&after, &before),
            BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 2)])
        );
    }

    #[test]
    fn a_vmstat_line_without_a_value_is_refused() {
        assert_eq!(
            vmstat_line("nr_foll_pin_acquired 1024").unwrap(),
            ("nr_foll_pin_acquired".to_owned(), 1024)
        );
        assert!(vmstat_line("nr_foll_pin_acquired").is_err());
    }
}
