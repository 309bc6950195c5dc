//! What was measured at one moment: plain values, no handles. Everything that shows numbers takes a [`Snapshot`].

use daxscope_common::hist::Hist;

/// What a series is about.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Without the prefix `daxscope_`.
    pub name: &'static str,
    pub kind: Kind,
    /// With unit and source.
    pub help: &'static str,
    /// Names of the labels, in order.
    pub labels: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// One series: a metric with values for its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub metric: &'static Metric,
    /// One for each of the metric's labels.
    pub labels: Vec<String>,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter or gauge that counts things or bytes.
    Count(u64),
    /// Of a counter or gauge in seconds or parts.
    Real(f64),
    Durations(Box<Hist>),
}

/// All series of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub samples: Vec<Sample>,
}

impl Metric {
    /// A series of this metric.
    #[must_use]
    pub fn sample<const N: usize>(&'static self, labels: [&str; N], value: Value) -> Sample {
        debug_assert_eq!(N, self.labels.len(), "{}", self.name);
        Sample {
            metric: self,
            labels: labels.map(str::to_owned).into(),
            value,
        }
    }

    /// A series of a count.
    #[must_use]
    pub fn count<const N: usize>(&'static self, labels: [&str; N], count: u64) -> Sample {
        self.sample(labels, Value::Count(count))
    }

    /// A series of durations.
    #[must_use]
    pub fn durations<const N: usize>(&'static self, labels: [&str; N], of: Hist) -> Sample {
        self.sample(labels, Value::Durations(Box::new(of)))
    }
}

/// Adds up the histograms of all CPUs.
pub fn total<'a>(parts: impl IntoIterator<Item = &'a Hist>) -> Hist {
    parts.into_iter().fold(Hist::ZERO, |mut total, part| {
        total.sum += part.sum;
        for (slot, n) in total.slots.iter_mut().zip(part.slots) {
            *slot += n;
        }
        total
    })
}
