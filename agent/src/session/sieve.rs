//! Filters, asked of a recording: which of its groups they let through.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::{
    by::{By, Value},
    filters::{self, Filters},
    recording::{About, Recording},
};
use crate::text;

/// What a group must have.
pub struct Sieve(Vec<Wanted>);

/// One of these values, in one of these dimensions.
struct Wanted {
    /// Places in the keys.
    columns: Vec<usize>,
    values: Vec<String>,
}

impl Sieve {
    /// # Errors
    /// When a filter asks what was not recorded.
    pub fn new(recording: &Recording, filters: &Filters) -> Result<Self> {
        let about = &recording.about;
        let mut wanted = vec![];
        for (by, values) in lists(filters) {
            if !values.is_empty() && !holds(about, by, &values) {
                let columns = vec![column(about, by)?];
                wanted.push(Wanted { columns, values });
            }
        }
        if let Some(device) = unheard(recording, filters) {
            let known: Vec<_> = about.devices.iter().map(|d| d.name.as_str()).collect();
            bail!(
                "the recording knows no device {}: it has {}",
                text::foreign(device.as_bytes()),
                words(&known)
            );
        }
        if !filters.pid.is_empty() {
            wanted.extend(numbers(recording, &filters.pid)?);
        }
        singles(about, filters)?;
        Ok(Self(wanted))
    }

    /// Whether a group with this key is let through.
    #[must_use]
    pub fn passes(&self, key: &[Value]) -> bool {
        self.0.iter().all(|Wanted { columns, values }| {
            let mut has = columns.iter().filter_map(|column| key.get(*column));
            has.any(|value| fits(value, values))
        })
    }
}

/// Where a dimension is in the keys.
///
/// # Errors
/// When it was not recorded.
pub fn column(about: &About, by: By) -> Result<usize> {
    let Some(column) = about.by.iter().position(|known| *known == by) else {
        let names: Vec<_> = about.by.iter().map(|by| by.name()).collect();
        bail!(
            "the recording does not tell calls by {}, only by {}: record with --by {}",
            by.name(),
            words(&names),
            by.name()
        );
    };
    Ok(column)
}

/// Filters that are lists of texts, each as a key has it.
fn lists(filters: &Filters) -> [(By, Vec<String>); 7] {
    let how = filters.how.iter().map(|how| how.name().to_owned());
    let longterm = filters.longterm.then(|| By::Longterm.name().to_owned());
    [
        (By::Comm, filters.comm.clone()),
        (By::Cgroup, filters.cgroup.clone()),
        (By::Device, filters.device.clone()),
        (By::Geometry, filters.geometry.clone()),
        (By::Entry, filters.entry.clone()),
        (By::How, how.collect()),
        (By::Longterm, longterm.into_iter().collect()),
    ]
    .map(|(by, values)| (by, values.iter().map(|value| in_key(by, value)).collect()))
}

/// What somebody gives as a filter, as a key has it. Names may be given as they are, or as they are shown.
fn in_key(by: By, given: &str) -> String {
    let shown = || text::foreign(&text::native(given));
    match by {
        By::Comm => shown(),
        By::Cgroup => {
            let shown = shown();
            let below = shown.strip_prefix("/sys/fs/cgroup").unwrap_or(&shown);
            format!("/{}", below.trim_matches('/'))
        }
        _ => given.to_owned(),
    }
}

/// Whether nothing else was recorded anyway: the session had this filter, with no other values.
fn holds(about: &About, by: By, values: &[String]) -> bool {
    let mut recorded = about.filters.iter().filter_map(|words| {
        let (flag, value) = words.split_once(' ').unwrap_or((words, by.name()));
        (flag.strip_prefix("--") == Some(by.name())).then(|| in_key(by, value))
    });
    let first = recorded.next();
    first.is_some()
        && first
            .into_iter()
            .chain(recorded)
            .all(|value| values.contains(&value))
}

/// A device that neither was there when the session began, nor came while it ran.
fn unheard<'a>(recording: &Recording, filters: &'a Filters) -> Option<&'a String> {
    let about = &recording.about;
    let column = column(about, By::Device).ok()?;
    filters.device.iter().find(|device| {
        let name = std::slice::from_ref(*device);
        !matches!(device.as_str(), "system" | "unknown")
            && about.devices.iter().all(|known| known.name != **device)
            && !recording.keys.iter().any(|key| fits(&key[column], name))
    })
}

/// `--pid`: a number is of a process or of a thread.
fn numbers(recording: &Recording, pids: &[u32]) -> Result<Option<Wanted>> {
    let about = &recording.about;
    let values: Vec<_> = pids.iter().map(u32::to_string).collect();
    if holds(about, By::Pid, &values) {
        return Ok(None);
    }
    let Ok(process) = column(about, By::Tgid) else {
        bail!(
            "--pid: the recording does not tell which process a call was of: record with --by tgid"
        );
    };
    let mut columns = vec![process];
    columns.extend(column(about, By::Pid));
    let wanted = Wanted { columns, values };
    if wanted.columns.len() == 1 {
        // Threads were not told apart: a number that is of no process may be one of theirs.
        let of = |key: &Vec<Value>| match key.get(process) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        };
        let known: BTreeSet<u64> = recording.keys.iter().filter_map(of).collect();
        if let Some(pid) = pids.iter().find(|pid| !known.contains(&u64::from(**pid))) {
            bail!(
                "--pid {pid}: the recording has no such process, and does not tell threads: record with --by tgid,pid"
            );
        }
    }
    Ok(Some(wanted))
}

/// Filters of single calls, which a recording does not keep.
fn singles(about: &About, filters: &Filters) -> Result<()> {
    let recorded = |name: &str| {
        let mut values = about.filters.iter().filter_map(|words| {
            let (flag, value) = words.split_once(' ')?;
            (flag == name).then(|| value.to_owned())
        });
        values.next()
    };
    if let Some(latency) = filters.min_latency {
        let had = recorded("--min-latency").and_then(|text| filters::duration(&text).ok());
        if had.is_none_or(|had| had < latency) {
            bail!("a recording has no single calls: --min-latency is for record");
        }
    }
    if let Some(pages) = filters.min_pages {
        let had = recorded("--min-pages").and_then(|text| text.parse::<u64>().ok());
        if had.is_none_or(|had| had < pages) {
            bail!("a recording has no single calls: --min-pages is for record");
        }
    }
    Ok(())
}

fn fits(value: &Value, wanted: &[String]) -> bool {
    match value {
        Value::Text(text) => wanted.contains(text),
        Value::Number(number) => wanted.contains(&number.to_string()),
        Value::Stack(_) => false,
    }
}

/// `a, b`; `none`.
fn words(names: &[&str]) -> String {
    match names {
        [] => "none".into(),
        some => some.join(", "),
    }
}
