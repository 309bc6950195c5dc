//! A snapshot in the text format of `OpenMetrics` 1.0, which the `prometheus` crate does not write. Numbers and bounds are written as
//! in the other format: series are the same, whichever a server asks for.

use std::{collections::BTreeMap, fmt::Write as _};

use daxscope_common::hist::Hist;

use super::{NANOSECONDS, buckets, unprintable};
use crate::snapshot::{Bounds, Kind, Metric, Sample, Snapshot, Value};

/// The media type of [`encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Units that the format wants named; they are the last word of a family's name.
const UNITS: [&str; 2] = ["seconds", "bytes"];
/// Since when a process counts.
const START: &str = "process_start_time_seconds";

/// The exposition of a snapshot: the given metrics in their order, each with all its series. With `created`, each counter and
/// histogram says when it began to count, which is when the process did.
#[must_use]
pub fn encode<'a>(
    metrics: impl Iterator<Item = &'a Metric>,
    snapshot: &Snapshot,
    created: bool,
) -> String {
    let mut series: BTreeMap<*const Metric, Vec<&Sample>> = BTreeMap::new();
    for sample in &snapshot.samples {
        series.entry(sample.metric).or_default().push(sample);
    }
    let start = snapshot
        .samples
        .iter()
        .find(|sample| sample.metric.name == START);
    let mut text = Text {
        to: String::with_capacity(1 << 16),
        created: start.filter(|_| created).map(|start| number(&start.value)),
    };
    for metric in metrics {
        if let Some(samples) = series.get(&std::ptr::from_ref(metric)) {
            text.family(metric, samples);
        }
    }
    text.to += "# EOF\n";
    text.to
}

struct Text {
    to: String,
    /// When counting began, in seconds since 1970, as text.
    created: Option<String>,
}

impl Text {
    fn family(&mut self, metric: &Metric, samples: &[&Sample]) {
        let full = metric.full_name();
        // A counter's family is named without what its samples end with.
        let name = match metric.kind {
            Kind::Counter => full.strip_suffix("_total").unwrap_or(&full),
            _ => &full,
        };
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.to, "# TYPE {name} {}", metric.kind.name());
        if let Some(unit) = UNITS
            .iter()
            .find(|unit| name.ends_with(&format!("_{unit}")))
        {
            let _ = writeln!(self.to, "# UNIT {name} {unit}");
        }
        let _ = write!(self.to, "# HELP {name} ");
        self.escaped(metric.help);
        self.to.push('\n');
        for sample in samples {
            match (&sample.value, metric.kind) {
                (Value::Durations(of), Kind::Histogram(bounds)) => {
                    self.histogram(name, sample, of, bounds);
                }
                (value, kind) => {
                    let counter = kind == Kind::Counter;
                    self.line(
                        name,
                        if counter { "_total" } else { "" },
                        sample,
                        None,
                        &number(value),
                    );
                    if counter {
                        self.created(name, sample);
                    }
                }
            }
        }
    }

    fn histogram(&mut self, name: &str, sample: &Sample, of: &Hist, bounds: Bounds) {
        let (buckets, count) = buckets(of, bounds);
        for (bound, below) in buckets {
            let (bound, below) = (bound.to_string(), below.to_string());
            self.line(name, "_bucket", sample, Some(&bound), &below);
        }
        let count = count.to_string();
        self.line(name, "_bucket", sample, Some("+Inf"), &count);
        self.line(name, "_sum", sample, None, &seconds(of.sum).to_string());
        self.line(name, "_count", sample, None, &count);
        self.created(name, sample);
    }

    fn created(&mut self, name: &str, sample: &Sample) {
        if let Some(created) = self.created.clone() {
            self.line(name, "_created", sample, None, &created);
        }
    }

    fn line(
        &mut self,
        name: &str,
        suffix: &str,
        sample: &Sample,
        bound: Option<&str>,
        value: &str,
    ) {
        self.to += name;
        self.to += suffix;
        let names = sample.metric.labels.iter().copied();
        let labels = names.zip(sample.labels.iter().map(String::as_str));
        let mut before = '{';
        for (label, value) in labels.chain(bound.map(|bound| ("le", bound))) {
            let _ = write!(self.to, "{before}{label}=\"");
            self.escaped(value);
            self.to.push('"');
            before = ',';
        }
        if before == ',' {
            self.to.push('}');
        }
        let _ = writeln!(self.to, " {value}");
    }

    fn escaped(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '\\' => self.to += "\\\\",
                '"' => self.to += "\\\"",
                '\n' => self.to += "\\n",
                other if unprintable(other) => self.to.push('\u{fffd}'),
                other => self.to.push(other),
            }
        }
    }
}

/// A count to its last digit, unlike in the other format.
fn number(value: &Value) -> String {
    match value {
        Value::Count(count) => count.to_string(),
        Value::Real(real) => real.to_string(),
        Value::Durations(_) => "NaN".into(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a sum of times, in seconds")]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / NANOSECONDS
}
