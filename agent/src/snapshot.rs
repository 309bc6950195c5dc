//! What was measured at one moment: plain values, no handles. Everything that shows numbers takes a [`Snapshot`].

use daxscope_common::hist::Hist;

/// What a series is about.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Without the prefix; see [`Metric::full_name`].
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
    Histogram(Bounds),
}

impl Kind {
    /// As Prometheus calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// Where the buckets of a histogram end: powers of two of nanoseconds, rising. A bucket is a line of each scrape for each
/// series, so they are close only where the times of a metric usually are. They stay as they are: who computes with them over
/// time relies on it.
pub type Bounds = &'static [u32];
/// Of calls that may take less than a microsecond: close up to 8.4 ms.
pub static CALLS: [u32; 24] = [
    7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 25, 27, 29, 31, 33, 35, 37,
];
/// Of work on a region: close from 0.5 ms to 2.1 s.
pub static REGIONS: [u32; 19] = [
    13, 15, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 33, 35, 37,
];

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
    /// As Prometheus sees it: with our prefix, but for what every exporter says of its process.
    #[must_use]
    pub fn full_name(&self) -> String {
        let prefix = if self.name.starts_with("process_") {
            ""
        } else {
            "daxscope_"
        };
        format!("{prefix}{}", self.name)
    }

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

    /// A series of durations; none before the first, since a histogram is many lines of each scrape.
    #[must_use]
    pub fn durations<const N: usize>(&'static self, labels: [&str; N], of: Hist) -> Option<Sample> {
        let any = of.slots.iter().any(|n| *n > 0);
        any.then(|| self.sample(labels, Value::Durations(Box::new(of))))
    }
}
