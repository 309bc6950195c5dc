//! A snapshot in the text format of Prometheus, and the list of all metrics in Markdown.

pub mod openmetrics;

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context as _, Result};
use daxscope_common::hist::{self, Hist};
use prometheus::{
    TextEncoder,
    proto::{self, MetricFamily, MetricType},
};

use crate::{
    snapshot::{Bounds, Kind, Metric, Sample, Snapshot, Value},
    text::duration,
};

/// The media type of [`encode`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;
const NANOSECONDS: f64 = 1e9;

/// The exposition of a snapshot: the given metrics in their order, each with all its series.
///
/// # Errors
/// When the encoder refuses a family.
pub fn encode<'a>(metrics: impl Iterator<Item = &'a Metric>, snapshot: Snapshot) -> Result<String> {
    let mut series: BTreeMap<*const Metric, Vec<Sample>> = BTreeMap::new();
    for sample in snapshot.samples {
        series.entry(sample.metric).or_default().push(sample);
    }
    let mut text = String::with_capacity(1 << 16);
    for metric in metrics {
        let Some(samples) = series.remove(&std::ptr::from_ref(metric)) else {
            continue;
        };
        // One at a time: each is built in the memory of the one before it.
        TextEncoder::new()
            .encode_utf8(&[family(metric, samples)], &mut text)
            .with_context(|| format!("cannot encode {}", metric.full_name()))?;
    }
    Ok(text)
}

fn family(metric: &Metric, samples: Vec<Sample>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(metric.full_name());
    family.set_help(metric.help.into());
    family.set_field_type(match metric.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram(_) => MetricType::HISTOGRAM,
    });
    family.set_metric(samples.into_iter().map(series_of).collect());
    family
}

fn series_of(sample: Sample) -> proto::Metric {
    let label = |(name, value): (&&str, String)| {
        let mut label = proto::LabelPair::default();
        label.set_name((*name).into());
        label.set_value(printable(value));
        label
    };
    let labels = sample.metric.labels.iter().zip(sample.labels).map(label);
    let mut series = proto::Metric::from_label(labels.collect());
    match (&sample.value, sample.metric.kind) {
        (Value::Durations(durations), Kind::Histogram(bounds)) => {
            series.set_histogram(histogram(durations, bounds));
        }
        (value, Kind::Counter) => {
            let mut counter = proto::Counter::default();
            counter.set_value(number(value));
            series.set_counter(counter);
        }
        (value, _) => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(number(value));
            series.set_gauge(gauge);
        }
    }
    series
}

/// A label's value without what is no text: a NUL ends the scrape for some readers. Names are other people's bytes.
fn printable(value: String) -> String {
    if value.contains(unprintable) {
        value.replace(unprintable, "\u{fffd}")
    } else {
        value
    }
}

/// The line feed is not: both formats can write it.
fn unprintable(character: char) -> bool {
    character.is_control() && character != '\n'
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the crate has only f64: exact to 2^53"
)]
fn number(value: &Value) -> f64 {
    match value {
        Value::Count(count) => *count as f64,
        Value::Real(real) => *real,
        Value::Durations(_) => f64::NAN,
    }
}

/// Cumulative buckets; a slot is counted by the first bound that is not below its own. The last, `+Inf`, is the encoder's:
/// given, it would be printed as `inf`.
#[expect(
    clippy::cast_precision_loss,
    reason = "the crate has only f64: exact to 2^53"
)]
fn histogram(durations: &Hist, bounds: Bounds) -> proto::Histogram {
    let (bounds, count) = buckets(durations, bounds);
    let bucket = |(bound, below)| {
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(below);
        bucket
    };
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(bounds.map(bucket).collect());
    histogram.set_sample_count(count);
    histogram.set_sample_sum(durations.sum as f64 / NANOSECONDS);
    histogram
}

/// Each bound in seconds with how many were not above it, and how many there were in all.
#[expect(clippy::cast_precision_loss, reason = "a power of two is exact")]
fn buckets(durations: &Hist, bounds: Bounds) -> (impl Iterator<Item = (f64, u64)>, u64) {
    let (mut below, mut taken) = (0, 0);
    let bucket = move |power: &u32| {
        let end = hist::slot(1 << power) + 1;
        below += durations.slots[taken..end].iter().sum::<u64>();
        taken = end;
        ((1u64 << power) as f64 / NANOSECONDS, below)
    };
    let count = durations.slots.iter().sum();
    (bounds.iter().map(bucket), count)
}

/// All metrics as a Markdown document.
#[must_use]
pub fn markdown<'a>(metrics: impl Iterator<Item = &'a Metric>) -> String {
    let mut text = "# Metrics\n\n<!-- Made by `cargo xtask docs` from the metric descriptions in agent/src/probes. -->\n\n\
                    Geometry is the page size that a pagemap's struct pages describe (`4K`, `2M`, `1G`, any size in that \
                    form); `system` is memory of no pagemap, `unknown` what cannot be told.\n\n\
                    A host has at most 600 series and 40 for each device, on x86-64 with every label value at once \
                    (`run --self-cost` adds two for each attached program). The lines of a histogram are counted one by \
                    one.\n\n\
                    Counters of known labels start at 0. A histogram is there from its first call on. Its buckets never change; \
                    their bounds are inclusive, powers of two of nanoseconds:\n\n"
        .to_owned();
    let metrics: Vec<_> = metrics.collect();
    text.push_str(&bounds(&metrics));
    text.push_str("\n| metric | kind | labels | what it is |\n|---|---|---|---|\n");
    for metric in metrics {
        let kind = metric.kind.name();
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let labels = labels.join(" ");
        let (name, help) = (metric.full_name(), metric.help);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{name}` | {kind} | {labels} | {help} |");
    }
    text
}

/// A line for all histograms that have the same.
fn bounds(metrics: &[&Metric]) -> String {
    let mut all: BTreeMap<Bounds, Vec<String>> = BTreeMap::new();
    for metric in metrics {
        if let Kind::Histogram(bounds) = metric.kind {
            let names = all.entry(bounds).or_default();
            names.push(format!("`{}`", metric.full_name()));
        }
    }
    let line = |(bounds, names): (&Bounds, &Vec<String>)| {
        let ends: Vec<_> = bounds.iter().map(|power| duration(1 << power)).collect();
        format!("- {}: {}\n", names.join(", "), ends.join(", "))
    };
    all.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{CALLS, REGIONS, SECTIONS};

    #[test]
    fn bounds_rise_within_the_slots() {
        for bounds in [&CALLS[..], &SECTIONS, &REGIONS] {
            assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
            assert!(bounds.iter().all(|power| *power >= hist::MIN_POWER));
            assert!(bounds.iter().all(|power| *power <= hist::MAX_POWER));
        }
    }
}
