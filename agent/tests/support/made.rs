//! A made host, as a server sees one.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use anyhow::Result;
use daxscope::{
    load::Verdict,
    probes,
    serve::source::{Readiness, Source},
    snapshot::{Kind, Sample, Snapshot, Value},
};
use daxscope_common::hist::{Hist, SLOTS};

/// A host with a moment that never changes, and how often it was read.
pub struct Made {
    pub read: AtomicUsize,
    pub reasons: Vec<String>,
    moment: Snapshot,
}

impl Default for Made {
    fn default() -> Self {
        Self::of("", 1)
    }
}

impl Made {
    /// Has everything but what the server says of itself, of each metric with labels so many series. `label` is what the value
    /// of every label starts with.
    pub fn of(label: &str, series: u64) -> Self {
        let own = daxscope::serve::METRICS;
        let of_probes = probes::metrics().filter(|metric| !own.contains(metric));
        let samples = of_probes.flat_map(|metric| {
            let series = if metric.labels.is_empty() { 1 } else { series };
            (0..series).map(move |index| Sample {
                metric,
                labels: vec![value(label, index); metric.labels.len()],
                value: match metric.kind {
                    Kind::Histogram(_) => Value::Durations(Box::new(Hist {
                        sum: 3 << 30,
                        slots: [1 + index; SLOTS],
                    })),
                    _ if metric.name == "process_start_time_seconds" => {
                        Value::Real(1_700_000_000.25)
                    }
                    _ => Value::Count(7 + index),
                },
            })
        });
        Self {
            read: AtomicUsize::new(0),
            reasons: vec![],
            moment: Snapshot {
                samples: samples.collect(),
            },
        }
    }
}

fn value(label: &str, index: u64) -> String {
    match index {
        0 => label.to_owned(),
        _ => format!("{label}{index}"),
    }
}

impl Source for Made {
    fn snapshot(&self) -> Snapshot {
        self.read.fetch_add(1, Relaxed);
        self.moment.clone()
    }

    fn verdicts(&self) -> &[Verdict] {
        &[]
    }

    fn readiness(&self) -> Readiness {
        Readiness {
            reasons: self.reasons.clone(),
            layers: vec![("seccomp", Err("not in this kernel".into()))],
            self_test: Some(Ok("4 pages counted".into())),
            losses: vec![],
        }
    }

    fn written(&self, _took: Duration) {}

    fn holders(&self) -> Option<Result<String>> {
        None
    }
}
