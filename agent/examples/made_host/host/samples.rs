//! Series, by the names of our own metrics.

use std::collections::BTreeMap;

use daxscope::{
    probes,
    snapshot::{Metric, Sample, Snapshot, Value},
};

pub struct Samples {
    metrics: BTreeMap<&'static str, &'static Metric>,
    samples: Vec<Sample>,
}

impl Samples {
    pub fn none() -> Self {
        let metrics = probes::metrics().map(|metric| (metric.name, metric));
        Self {
            metrics: metrics.collect(),
            samples: vec![],
        }
    }

    pub fn snapshot(self) -> Snapshot {
        Snapshot {
            samples: self.samples,
        }
    }

    /// A series with the labels that its metric has, of those given.
    pub fn add(&mut self, name: &str, labels: &[(&str, &str)], value: Value) {
        let metric = self
            .metrics
            .get(name)
            .unwrap_or_else(|| panic!("there is no metric {name}"));
        let given = |label: &&'static str| {
            labels
                .iter()
                .find(|(name, _)| name == label)
                .map_or("", |(_, value)| value)
        };
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| given(label).to_owned())
            .collect();
        // Where a metric does without one of the labels, its series are sums.
        let same =
            |sample: &&mut Sample| std::ptr::eq(sample.metric, *metric) && sample.labels == labels;
        match (self.samples.iter_mut().find(same), value) {
            (
                Some(Sample {
                    value: Value::Count(sum),
                    ..
                }),
                Value::Count(n),
            ) => *sum += n,
            (
                Some(Sample {
                    value: Value::Durations(sum),
                    ..
                }),
                Value::Durations(hist),
            ) => {
                sum.sum += hist.sum;
                sum.slots
                    .iter_mut()
                    .zip(hist.slots)
                    .for_each(|(sum, n)| *sum += n);
            }
            (_, value) => self.samples.push(Sample {
                metric,
                labels,
                value,
            }),
        }
    }

    pub fn count(&mut self, name: &str, labels: &[(&str, &str)], count: u64) {
        self.add(name, labels, Value::Count(count));
    }
}
