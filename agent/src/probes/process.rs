//! What every exporter says of its own process, by the names that Prometheus' clients agree on. The crate's collector
//! rounds CPU seconds to integers.

use std::fs;

use anyhow::{Context as _, Result};

use crate::snapshot::{Kind, Metric, Sample, Value};

pub static METRICS: &[&Metric] = &[&CPU, &RESIDENT, &FDS, &MAX_FDS, &START];

static CPU: Metric = Metric {
    name: "process_cpu_seconds_total",
    kind: Kind::Counter,
    help: "User and system time of this process, in seconds. Source: /proc/self/stat.",
    labels: &[],
};
static RESIDENT: Metric = Metric {
    name: "process_resident_memory_bytes",
    kind: Kind::Gauge,
    help: "Resident memory of this process, in bytes. Source: /proc/self/stat.",
    labels: &[],
};
static FDS: Metric = Metric {
    name: "process_open_fds",
    kind: Kind::Gauge,
    help: "Open file descriptors of this process. Source: /proc/self/fd.",
    labels: &[],
};
static MAX_FDS: Metric = Metric {
    name: "process_max_fds",
    kind: Kind::Gauge,
    help: "File descriptors that this process may open. Source: getrlimit(2).",
    labels: &[],
};
static START: Metric = Metric {
    name: "process_start_time_seconds",
    kind: Kind::Gauge,
    help: "When this process began, in seconds since 1970. Source: /proc/self/stat, /proc/stat.",
    labels: &[],
};

/// All of them; none where `/proc` cannot be read.
#[must_use]
pub fn read() -> Vec<Sample> {
    samples().unwrap_or_else(|error| {
        log::debug!("process_* are missing: {error:#}");
        vec![]
    })
}

fn samples() -> Result<Vec<Sample>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let boot = fs::read_to_string("/proc/stat")?;
    let of = Stat::parse(&stat).context("/proc/self/stat has another form")?;
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime "));
    let boot: f64 = boot.context("/proc/stat has no btime")?.trim().parse()?;
    let (ticks, page) = (ask(libc::_SC_CLK_TCK), ask(libc::_SC_PAGESIZE));
    // One of them is open only to look.
    let open = fs::read_dir("/proc/self/fd")?.count() - 1;
    let mut samples = vec![
        CPU.sample([], Value::Real(real(of.cpu) / real(ticks))),
        RESIDENT.count([], of.resident * page),
        FDS.count([], open as u64),
        START.sample([], Value::Real(boot + real(of.start) / real(ticks))),
    ];
    if let Ok((most, _)) =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
    {
        samples.push(MAX_FDS.count([], most));
    }
    Ok(samples)
}

#[expect(clippy::cast_precision_loss, reason = "a time, in ticks")]
const fn real(ticks: u64) -> f64 {
    ticks as f64
}

/// A constant of the system; 1 if it is not known.
fn ask(name: i32) -> u64 {
    // SAFETY: asks for a number.
    u64::try_from(unsafe { libc::sysconf(name) }).unwrap_or(1)
}

/// All that a host can have.
#[cfg(test)]
pub(super) fn worst() -> Vec<Sample> {
    samples().expect("/proc")
}

/// Of `proc_pid_stat(5)`: ticks of the CPU, when it began in ticks since boot, resident pages.
struct Stat {
    cpu: u64,
    start: u64,
    resident: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name before it can have any bytes.
        let (_, fields) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        // Fields are numbered from 1, and the first here is the third.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu: field(14)? + field(15)?,
            start: field(22)?,
            resident: field(24)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_is_no_field() {
        let rest: Vec<String> = (4..=52).map(|field| (field * 10).to_string()).collect();
        let text = format!("12 (a) b) c) S {}\n", rest.join(" "));
        let stat = Stat::parse(&text).expect("parses");
        assert_eq!((stat.cpu, stat.start, stat.resident), (290, 220, 240));
        assert!(Stat::parse("12 (a) S 1 2").is_none());
    }

    #[test]
    fn this_process_is_told() {
        assert_eq!(samples().expect("/proc").len(), METRICS.len());
    }
}
