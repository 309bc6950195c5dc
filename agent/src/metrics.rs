//! A snapshot in the text format of Prometheus, and the list of all metrics in Markdown.
//!
//! Of the format (prometheus.io, "Exposition formats", version 0.0.4) we need thirty lines. The `prometheus` crate's encoder took
//! more instructions than everything else of a scrape: it formats each number as a float, each label once a bucket.

use std::{collections::BTreeMap, fmt::Write as _};

use daxscope_common::hist::{self, Hist};

use crate::snapshot::{Bounds, Kind, Metric, Sample, Snapshot, Value};

/// The media type of [`encode`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4";
const PREFIX: &str = "daxscope_";
const NANOSECONDS: u64 = 1_000_000_000;

/// The exposition of a snapshot: the given metrics in their order, each with all its series.
pub fn encode<'a>(metrics: impl Iterator<Item = &'a Metric>, snapshot: &Snapshot) -> String {
    let mut series: BTreeMap<*const Metric, Vec<&Sample>> = BTreeMap::new();
    for sample in &snapshot.samples {
        series.entry(sample.metric).or_default().push(sample);
    }
    let ends = ends();
    let mut text = String::with_capacity(1 << 16);
    for metric in metrics {
        if let Some(samples) = series.get(&std::ptr::from_ref(metric)) {
            describe(&mut text, metric);
            for sample in samples {
                write(&mut text, sample, &ends);
            }
        }
    }
    text
}

/// The powers of two at which buckets may end, as their lines go on from there.
fn ends() -> Vec<String> {
    let end = |power: u32| {
        let mut text = String::new();
        seconds(&mut text, 1u64 << power);
        text + "\"} "
    };
    (hist::MIN_POWER..=hist::MAX_POWER).map(end).collect()
}

fn describe(text: &mut String, metric: &Metric) {
    push(text, &["# HELP ", PREFIX, metric.name, " "]);
    escape(text, metric.help, false);
    let kind = metric.kind.name();
    push(text, &["\n# TYPE ", PREFIX, metric.name, " ", kind, "\n"]);
}

fn write(text: &mut String, sample: &Sample, ends: &[String]) {
    let name = sample.metric.name;
    let labels = labels(sample);
    // Writing to a String cannot fail.
    let _ = match &sample.value {
        Value::Durations(durations) => {
            if let Kind::Histogram(bounds) = sample.metric.kind {
                histogram(text, name, &labels, durations, (bounds, ends));
            }
            return;
        }
        Value::Count(count) => {
            line(text, name, "", &labels);
            writeln!(text, "{count}")
        }
        Value::Real(real) => {
            line(text, name, "", &labels);
            writeln!(text, "{real}")
        }
    };
}

/// Cumulative buckets; a slot is counted by the first bound that is not below its own.
fn histogram(
    text: &mut String,
    name: &str,
    labels: &str,
    durations: &Hist,
    (bounds, ends): (Bounds, &[String]),
) {
    let comma = if labels.is_empty() { "" } else { "," };
    let bucket = format!("{PREFIX}{name}_bucket{{{labels}{comma}le=\"");
    let mut slots = durations.slots.iter();
    let (mut below, mut taken) = (0, 0);
    for power in bounds {
        let end = hist::slot(1 << power) + 1;
        below += slots.by_ref().take(end - taken).sum::<u64>();
        taken = end;
        push(text, &[&bucket, &ends[(power - hist::MIN_POWER) as usize]]);
        let _ = writeln!(text, "{below}");
    }
    let count = below + slots.sum::<u64>();
    let _ = writeln!(text, "{bucket}+Inf\"}} {count}");
    line(text, name, "_sum", labels);
    seconds(text, durations.sum);
    text.push('\n');
    line(text, name, "_count", labels);
    let _ = writeln!(text, "{count}");
}

/// A line up to its value.
fn line(text: &mut String, name: &str, suffix: &str, labels: &str) {
    push(text, &[PREFIX, name, suffix]);
    if !labels.is_empty() {
        push(text, &["{", labels, "}"]);
    }
    text.push(' ');
}

/// `name="value",name="value"`
fn labels(sample: &Sample) -> String {
    let mut text = String::with_capacity(128);
    for (name, value) in sample.metric.labels.iter().zip(&sample.labels) {
        let comma = if text.is_empty() { "" } else { "," };
        push(&mut text, &[comma, name, "=\""]);
        escape(&mut text, value, true);
        text.push('"');
    }
    text
}

fn escape(text: &mut String, raw: &str, quoted: bool) {
    let mut rest = raw;
    while let Some(at) = rest.find(['\\', '\n', '"']) {
        let (plain, from) = rest.split_at(at);
        text.push_str(plain);
        text.push_str(match from.as_bytes()[0] {
            b'\n' => "\\n",
            b'"' if quoted => "\\\"",
            b'"' => "\"",
            _ => "\\\\",
        });
        rest = &from[1..];
    }
    text.push_str(rest);
}

/// Nanoseconds in seconds, exactly.
fn seconds(text: &mut String, nanoseconds: u64) {
    let _ = write!(text, "{}", nanoseconds / NANOSECONDS);
    let part = nanoseconds % NANOSECONDS;
    if part > 0 {
        let start = text.len();
        let _ = write!(text, ".{part:09}");
        let digits = text[start..].trim_end_matches('0').len();
        text.truncate(start + digits);
    }
}

fn push(text: &mut String, parts: &[&str]) {
    for part in parts {
        text.push_str(part);
    }
}

/// All metrics as a Markdown document.
#[must_use]
pub fn markdown<'a>(metrics: impl Iterator<Item = &'a Metric>) -> String {
    let mut text = "# Metrics\n\n<!-- Made by `cargo xtask docs` from the metric descriptions in agent/src/probes. -->\n\n\
                    Geometry is the page size that a pagemap's struct pages describe (`4K`, `2M`, `1G`, any size in that \
                    form); `system` is memory of no pagemap, `unknown` what cannot be told.\n\n\
                    Counters of known labels start at 0. A histogram is there from its first call on, and its buckets \
                    never change; bounds are inclusive powers of two of nanoseconds. Of `gup_`: each from 128 ns to \
                    8.4 ms, then each second one. Of all others: each from 0.5 ms to 2.1 s, beyond and below each second \
                    one, from 8.2 µs. The last bound is 137 s.\n\n\
                    | metric | kind | labels | what it is |\n|---|---|---|---|\n"
        .to_owned();
    for metric in metrics {
        let kind = metric.kind.name();
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let labels = labels.join(" ");
        let (name, help) = (metric.name, metric.help);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{PREFIX}{name}` | {kind} | {labels} | {help} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{CALLS, REGIONS};

    #[test]
    fn nanoseconds_are_seconds_to_the_last_digit() {
        for (ns, words) in [
            (0, "0"),
            (1, "0.000000001"),
            (1024, "0.000001024"),
            (1_500_000_000, "1.5"),
            (2_000_000_000, "2"),
            (1 << 37, "137.438953472"),
            (u64::MAX, "18446744073.709551615"),
        ] {
            let mut text = String::new();
            seconds(&mut text, ns);
            assert_eq!(text, words);
        }
    }

    #[test]
    fn bounds_rise_to_the_end_of_the_slots() {
        for bounds in [&CALLS[..], &REGIONS[..]] {
            assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
            assert!(bounds.iter().all(|power| *power >= hist::MIN_POWER));
            assert_eq!(bounds.last(), Some(&hist::MAX_POWER));
        }
    }
}
