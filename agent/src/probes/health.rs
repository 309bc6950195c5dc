//! What daxscope says of itself: its probes' verdicts, what was lost, and how its own reading went.

use std::time::Instant;

use daxscope_common::lost;

use super::{Family, maps};
use crate::{
    load::Probes,
    snapshot::{Kind, Metric, Sample, Value},
};

pub static METRICS: &[&Metric] = &[
    &PROBE_ATTACHED,
    &PROBE_MISSED,
    &LOST,
    &SCRAPE_DURATION,
    &SCRAPE_SUCCESS,
    &BUILD_INFO,
];

static PROBE_ATTACHED: Metric = Metric {
    name: "probe_attached",
    kind: Kind::Gauge,
    help: "1 if a probe point is attached, else 0, with the reason; a reason at 1 says why not by fentry. Source: \
           daxscope.",
    labels: &["family", "probe", "symbol", "mechanism", "reason"],
};
static PROBE_MISSED: Metric = Metric {
    name: "probe_missed_total",
    kind: Kind::Counter,
    help: "Runs of a point's programs that the kernel left out: a call whose entry is missed has no latency, one whose \
           return is missed is not counted. Source: bpf_prog_info.recursion_misses, which counts for fentry since 5.12, for \
           kprobes since 6.7.",
    labels: &["family", "probe", "end"],
};
static LOST: Metric = Metric {
    name: "lost_total",
    kind: Kind::Counter,
    help: "What could not be measured: start (a call could not be remembered), unmatched_return (its beginning was not \
           seen), missed_return (its end was not seen): these calls have no latency; unreadable (kernel memory), \
           geometry_slots, pagemap, pagemap_ranges (tables full), nesting (a call not counted). Source: the programs.",
    labels: &["what"],
};
static SCRAPE_DURATION: Metric = Metric {
    name: "scrape_duration_seconds",
    kind: Kind::Gauge,
    help: "Time to read the maps of a family for this scrape, in seconds. Source: daxscope.",
    labels: &["family"],
};
static SCRAPE_SUCCESS: Metric = Metric {
    name: "scrape_success",
    kind: Kind::Gauge,
    help: "1 if the maps of a family could be read for this scrape. Source: daxscope.",
    labels: &["family"],
};
static BUILD_INFO: Metric = Metric {
    name: "build_info",
    kind: Kind::Gauge,
    help: "Always 1. Source: the build.",
    labels: &["version", "revision"],
};

/// Reads a family, with how long that took and whether it worked.
#[must_use]
pub fn timed(family: &Family, probes: &Probes) -> Vec<Sample> {
    let began = Instant::now();
    let read = (family.read)(probes);
    if let Err(error) = &read {
        log::error!("cannot read family {}: {error:#}", family.name);
    }
    let took = began.elapsed().as_secs_f64();
    let success = u64::from(read.is_ok());
    let mut samples = read.unwrap_or_default();
    samples.push(SCRAPE_DURATION.sample([family.name], Value::Real(took)));
    samples.push(SCRAPE_SUCCESS.count([family.name], success));
    samples
}

/// Everything else that daxscope says of itself.
#[must_use]
pub fn read(probes: &Probes) -> Vec<Sample> {
    let mut samples = vec![BUILD_INFO.count([crate::VERSION, crate::REVISION], 1)];
    for verdict in &probes.verdicts {
        let mechanism = verdict
            .mechanism
            .map_or("none", crate::load::Mechanism::name);
        let labels = [
            verdict.family,
            verdict.point,
            verdict.symbol,
            mechanism,
            &verdict.reason,
        ];
        let attached = u64::from(verdict.mechanism.is_some());
        samples.push(PROBE_ATTACHED.count(labels, attached));
        for (end, missed) in probes.missed_runs(verdict) {
            samples.push(PROBE_MISSED.count([verdict.family, verdict.point, end], missed));
        }
    }
    let given_up = probes.in_flight.sweep();
    for (index, name) in lost::NAMES.iter().enumerate() {
        match maps::per_cpu::<u64>(probes.object(), "LOST", index) {
            Ok(counts) => {
                let of_ended_threads = u64::from(index == lost::MISSED_RETURN as usize) * given_up;
                let counted: u64 = counts.iter().sum();
                samples.push(LOST.count([name], counted + of_ended_threads));
            }
            Err(error) => log::error!("cannot read what was lost: {error:#}"),
        }
    }
    samples
}
