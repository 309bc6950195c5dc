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
/// series, and a host has a bounded number of those, so there are few: what needs all slots of a [`Hist`] takes the snapshot.
/// They stay as they are: who computes with them over time relies on it.
pub type Bounds = &'static [u32];
/// Of calls: 256 ns, each fourfold up to 1.05 ms, 8.4 ms, 134 ms, 4.3 s.
pub static CALLS: [u32; 10] = [8, 10, 12, 14, 16, 18, 20, 23, 27, 32];
/// Of populating the memory map of a section (128 MiB on x86): 32.8 µs, each fourfold up to 8.4 ms, 134 ms.
pub static SECTIONS: [u32; 6] = [15, 17, 19, 21, 23, 27];
/// Of work on a region: 1.05 ms, each eightfold up to 34.4 s.
pub static REGIONS: [u32; 6] = [20, 23, 26, 29, 32, 35];

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
