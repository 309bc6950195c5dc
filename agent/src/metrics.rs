//! A snapshot in the text format of Prometheus, and the list of all metrics in Markdown.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use daxscope_common::hist::{self, Hist};
use prometheus::{
    TextEncoder,
    proto::{self, MetricFamily, MetricType},
};

use crate::snapshot::{Kind, Metric, Sample, Snapshot, Value};

/// The media type of [`encode`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;
const PREFIX: &str = "daxscope_";
const NANOSECONDS: f64 = 1e9;

/// The exposition of a snapshot: the given metrics in their order, each with all its series.
///
/// # Errors
/// When the encoder refuses a family.
pub fn encode<'a>(
    metrics: impl Iterator<Item = &'a Metric>,
    snapshot: &Snapshot,
) -> Result<String> {
    let families: Vec<_> = metrics
        .map(|metric| family(metric, snapshot))
        .filter(|family| !family.get_metric().is_empty())
        .collect();
    TextEncoder::new()
        .encode_to_string(&families)
        .context("cannot encode the metrics")
}

fn family(metric: &Metric, snapshot: &Snapshot) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(format!("{PREFIX}{}", metric.name));
    family.set_help(metric.help.into());
    family.set_field_type(match metric.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram => MetricType::HISTOGRAM,
    });
    let series = snapshot
        .samples
        .iter()
        .filter(|sample| sample.metric == metric);
    family.set_metric(series.map(series_of).collect());
    family
}

fn series_of(sample: &Sample) -> proto::Metric {
    let label = |(name, value): (&&str, &String)| {
        let mut label = proto::LabelPair::default();
        label.set_name((*name).into());
        label.set_value(value.clone());
        label
    };
    let labels = sample.metric.labels.iter().zip(&sample.labels).map(label);
    let mut series = proto::Metric::from_label(labels.collect());
    match (&sample.value, sample.metric.kind) {
        (Value::Durations(durations), _) => series.set_histogram(histogram(durations)),
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

#[expect(
    clippy::cast_precision_loss,
    reason = "the format has only f64: exact to 2^53"
)]
fn number(value: &Value) -> f64 {
    match value {
        Value::Count(count) => *count as f64,
        Value::Real(real) => *real,
        Value::Durations(_) => f64::NAN,
    }
}

/// Cumulative buckets at powers of two of nanoseconds. The last, `+Inf`, is the encoder's: given, it would be
/// printed as `inf`.
#[expect(
    clippy::cast_precision_loss,
    reason = "the format has only f64: exact to 2^53"
)]
fn histogram(durations: &Hist) -> proto::Histogram {
    let mut buckets = vec![];
    let mut count = 0;
    for (slot, n) in durations.slots.iter().enumerate() {
        count += n;
        if slot % hist::SUB as usize == 0 && slot < hist::OVERFLOW {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(hist::bound(slot) as f64 / NANOSECONDS);
            bucket.set_cumulative_count(count);
            buckets.push(bucket);
        }
    }
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(count);
    histogram.set_sample_sum(durations.sum as f64 / NANOSECONDS);
    histogram
}

/// All metrics as a Markdown document.
#[must_use]
pub fn markdown<'a>(metrics: impl Iterator<Item = &'a Metric>) -> String {
    let mut text = "# Metrics\n\n<!-- Made by `cargo xtask docs` from the metric descriptions in agent/src/probes. -->\n\n\
                    Geometry is the page size that a pagemap's struct pages describe (`4K`, `2M`, `1G`, any size in that \
                    form); `system` is memory of no pagemap, `unknown` what cannot be told. Histograms have a bucket at \
                    each power of two of nanoseconds from 128 ns to 137 s, bounds inclusive.\n\n\
                    | metric | kind | labels | what it is |\n|---|---|---|---|\n"
        .to_owned();
    for metric in metrics {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
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
