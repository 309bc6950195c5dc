//! Which calls somebody wants to see. In a live session the kernel decides by these, in `report` the recorded groups.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::text;

/// Each may be given more than once, or with commas: then one of its values must fit. All that are given must.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters")]
pub struct Filters {
    /// Only of these processes or threads
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub pid: Vec<u32>,
    /// Only of threads of this name, as `events` shows it: at most 15 bytes
    #[arg(long, value_name = "NAME")]
    pub comm: Vec<String>,
    /// Only of this cgroup, not of those below it: a path below /sys/fs/cgroup (v2)
    #[arg(long, value_name = "PATH")]
    pub cgroup: Vec<String>,
    /// Only pages of this device: dax0.0, pmem0, namespace0.0, or system
    #[arg(long, value_name = "DEVICE", value_delimiter = ',')]
    pub device: Vec<String>,
    /// Only pages of this geometry: 4K, 2M, 1G, system, unknown
    #[arg(long, value_name = "SIZE", value_delimiter = ',')]
    pub geometry: Vec<String>,
    /// Only calls of this kernel function: `pin_user_pages_fast`
    #[arg(long, value_name = "FUNCTION", value_delimiter = ',')]
    pub entry: Vec<String>,
    /// Only these; pins and gets if left out
    #[arg(long, value_delimiter = ',', value_enum)]
    pub how: Vec<How>,
    /// Only requests with `FOLL_LONGTERM`
    #[arg(long)]
    pub longterm: bool,
    /// Only calls that took at least so long: 500ns, 20us, 3ms, 1s
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub min_latency: Option<Duration>,
    /// Only calls that returned at least so many pages
    #[arg(long, value_name = "PAGES")]
    pub min_pages: Option<u64>,
}

/// As the dimension `how`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum How {
    Pin,
    Get,
    /// Pins that are given back: only if asked for
    Unpin,
}

impl How {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Get => "get",
            Self::Unpin => "unpin",
        }
    }
}

impl Filters {
    /// As they were given, but on one line: `--geometry 2M`; each name in order, whatever its place on the command line was.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let mut words = vec![];
        let mut list = |name: &str, values: Vec<String>| {
            let values = values.into_iter();
            words.extend(values.map(|value| format!("--{name} {}", text::escaped(&value))));
        };
        list("pid", self.pid.iter().map(u32::to_string).collect());
        list("comm", self.comm.clone());
        list("cgroup", self.cgroup.clone());
        list("device", self.device.clone());
        list("geometry", self.geometry.clone());
        list("entry", self.entry.clone());
        list(
            "how",
            self.how.iter().map(|how| how.name().into()).collect(),
        );
        let latency = self.min_latency;
        list(
            "min-latency",
            latency
                .iter()
                .map(|ns| format!("{}ns", ns.as_nanos()))
                .collect(),
        );
        list(
            "min-pages",
            self.min_pages.iter().map(u64::to_string).collect(),
        );
        if self.longterm {
            words.push("--longterm".into());
        }
        words
    }
}

/// `500ns`, `20us`, `3ms`, `10s`, `2min`, `1h`; a number alone is of seconds.
///
/// # Errors
/// When it is none of these.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => {
            return Err(format!(
                "no unit of time is called {unit:?}: ns, us, ms, s, min, h"
            ));
        }
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "say how long: 500us, 10s, 5min".to_owned())?;
    Duration::try_from_secs_f64(number * scale).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_people_write_them() {
        for (text, ns) in [
            ("500ns", 500),
            ("20us", 20_000),
            ("1.5ms", 1_500_000),
            ("10", 10_000_000_000),
            ("2min", 120_000_000_000),
        ] {
            assert_eq!(duration(text).map(|d| d.as_nanos()), Ok(ns), "{text}");
        }
        for text in ["", "ms", "5 parsecs", "1e99s", "-1s", "1.2.3s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
