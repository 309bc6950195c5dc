//! What daxscope says of itself: its probes' verdicts, what was lost, and how its own reading went.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use anyhow::Result;
use daxscope_common::{
    gup::{PINNED_PAGEMAPS, Pinned},
    holders,
    lost::{self, MapErrors},
    memremap::{PAGEMAPS, Pagemap},
    span::{REGION_IN_FLIGHT, Span},
};

use super::{Family, maps};
use crate::{
    check::Verdicts,
    load::{Probes, Verdict},
    snapshot::{Kind, Metric, Sample, Value},
};

pub static METRICS: &[&Metric] = &[
    &PROBE_ATTACHED,
    &PROBES_MISSING,
    &PROBE_MISSED,
    &LOST,
    &MAP_ENTRIES,
    &MAP_CAPACITY,
    &MAP_UPDATE_ERRORS,
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
static PROBES_MISSING: Metric = Metric {
    name: "probes_missing",
    kind: Kind::Gauge,
    help: "Probe points that the picture is incomplete without on this kernel, and that are not attached; probe_attached says \
           why. Source: daxscope.",
    labels: &["family"],
};
static PROBE_MISSED: Metric = Metric {
    name: "probe_missed_total",
    kind: Kind::Counter,
    help: "What the kernel left out at one end of a point's calls: runs of its program, and returns of calls beyond the \
           pool of a kretprobe. A call whose entry is missed has no latency, one whose return is missed is not counted. \
           Source: bpf_prog_info.recursion_misses, which counts for fentry since 5.12, for kprobes since 6.7, and \
           bpf_link_info.perf_event.kprobe.missed (6.7).",
    labels: &["family", "probe", "end"],
};
static LOST: Metric = Metric {
    name: "lost_total",
    kind: Kind::Counter,
    help: "What could not be measured: start (a call could not be remembered), unmatched_return (its beginning was not \
           seen), missed_return (its end was not seen): these calls have no latency; unreadable (kernel memory), \
           geometry_slots, pagemap, pagemap_ranges (tables full), nesting (a call not counted), hold (pages not noted \
           for their holder), expired (calls of threads that ended without a return that was seen: not counted). \
           Source: the programs.",
    labels: &["what"],
};
static MAP_ENTRIES: Metric = Metric {
    name: "map_entries",
    kind: Kind::Gauge,
    help: "Entries in a table of the programs: calls in flight, pagemaps. Source: the map.",
    labels: &["map"],
};
static MAP_CAPACITY: Metric = Metric {
    name: "map_capacity",
    kind: Kind::Gauge,
    help: "Entries that a table of the programs has room for. Source: the map.",
    labels: &["map"],
};
static MAP_UPDATE_ERRORS: Metric = Metric {
    name: "map_update_errors_total",
    kind: Kind::Counter,
    help: "Entries that could not be put into a table of the programs. Source: the programs.",
    labels: &["map"],
};
static SCRAPE_DURATION: Metric = Metric {
    name: "scrape_duration_seconds",
    kind: Kind::Gauge,
    help: "Time that a part of a scrape takes, in seconds: reading the maps of a family; self, all that daxscope says of \
           itself; text, writing it all down, in the scrape before this one (absent in the first). Source: daxscope.",
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
    let began = Instant::now();
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
        for (end, missed) in probes.missed(verdict) {
            samples.push(PROBE_MISSED.count([verdict.family, verdict.point, end], missed));
        }
    }
    samples.extend(missing(&probes.verdicts));
    let given_up = probes.in_flight.sweep();
    samples.push(LOST.count(["expired"], given_up));
    for (index, name) in lost::NAMES.iter().enumerate() {
        match maps::per_cpu::<u64>(probes.object(), "LOST", index) {
            Ok(count) => samples.push(LOST.count([name], count)),
            Err(error) => log::error!("cannot read what was lost: {error:#}"),
        }
    }
    for (index, name) in (0u32..).zip(lost::MAPS) {
        match table(probes, index, name) {
            Ok(of_table) => samples.extend(of_table),
            Err(error) => log::error!("cannot read how full {name} is: {error:#}"),
        }
    }
    let text = Duration::from_nanos(probes.exposition.load(Relaxed));
    let parts = [("self", began.elapsed()), ("text", text)];
    let known = parts.into_iter().filter(|(_, took)| !took.is_zero());
    samples.extend(
        known.map(|(part, took)| SCRAPE_DURATION.sample([part], Value::Real(took.as_secs_f64()))),
    );
    samples
}

/// What was lost until now, in words, one for each kind; empty if nothing was.
#[must_use]
pub fn losses(probes: &Probes) -> Vec<String> {
    told(&read(probes))
}

/// As [`losses`], from what was read.
#[must_use]
pub fn told(samples: &[Sample]) -> Vec<String> {
    let words = of_losses(samples).map(|(sample, n)| {
        let labels = sample.labels.join(" ");
        format!("{n} {labels} ({})", sample.metric.name)
    });
    words.collect()
}

/// How much it is in all: of use only to see it grow.
#[must_use]
pub fn lost(samples: &[Sample]) -> u64 {
    of_losses(samples).map(|(_, n)| n).sum()
}

fn of_losses(samples: &[Sample]) -> impl Iterator<Item = (&Sample, u64)> {
    let of = |sample: &Sample| [&LOST, &PROBE_MISSED, &MAP_UPDATE_ERRORS].contains(&sample.metric);
    samples.iter().filter_map(move |sample| match sample.value {
        Value::Count(n) if n > 0 && of(sample) => Some((sample, n)),
        _ => None,
    })
}

/// How many points of each family are missing.
fn missing(verdicts: &[Verdict]) -> impl Iterator<Item = Sample> + use<'_> {
    let families = super::FAMILIES.into_iter();
    let families = families.filter(|family| !family.points.is_empty());
    families.map(|family| {
        let missing = Verdicts(verdicts);
        let missing = missing.missing();
        let of_family = missing.filter(|verdict| verdict.family == family.name);
        PROBES_MISSING.count([family.name], of_family.count() as u64)
    })
}

/// How full a table is, and what did not get into it.
fn table(probes: &Probes, index: u32, name: &str) -> Result<Vec<Sample>> {
    let object = probes.object();
    let mut samples = vec![];
    let fill = match index {
        lost::GUP_SPANS => Some(probes.in_flight.fill()),
        lost::GUP_PAGEMAPS => Some((
            maps::entries::<u64, Pinned>(object, name, PINNED_PAGEMAPS)?,
            u64::from(PINNED_PAGEMAPS),
        )),
        lost::REGION_SPANS => Some((
            maps::entries::<u64, Span>(object, name, REGION_IN_FLIGHT)?,
            u64::from(REGION_IN_FLIGHT),
        )),
        lost::MEMREMAP_PAGEMAPS => Some((
            maps::entries::<u64, Pagemap>(object, name, PAGEMAPS)?,
            u64::from(PAGEMAPS),
        )),
        lost::HOLDS if probes.holders => Some((
            maps::entries::<holders::Key, holders::Hold>(object, name, holders::HOLDS)?,
            u64::from(holders::HOLDS),
        )),
        _ => None,
    };
    if let Some((entries, capacity)) = fill {
        samples.push(MAP_ENTRIES.count([name], entries));
        samples.push(MAP_CAPACITY.count([name], capacity));
    }
    let index = index as usize;
    let errors: MapErrors = maps::per_cpu(object, "MAP_ERRORS", index)?;
    let refused = errors.by_errno.iter().skip(1).sum();
    samples.push(MAP_UPDATE_ERRORS.count([name], refused));
    Ok(samples)
}

/// All that a host can have, each probe attached with both its ends.
#[cfg(test)]
pub(super) fn worst() -> Vec<Sample> {
    let mut samples = vec![BUILD_INFO.count(["", ""], 1)];
    for (family, point) in super::points() {
        let labels = [family.name, point.name, point.symbols[0], "", ""];
        samples.push(PROBE_ATTACHED.count(labels, 1));
        let ends: &[&str] = match (point.need, point.returns) {
            // Not beside those that it stands in for.
            (super::Need::InsteadOf(_), _) => &[],
            (_, true) => &["entry", "return"],
            (_, false) => &["entry"],
        };
        let missed = |end: &&str| PROBE_MISSED.count([family.name, point.name, end], 1);
        samples.extend(ends.iter().map(missed));
    }
    samples.extend(missing(&[]));
    let lost = lost::NAMES.iter().chain(&["expired"]);
    samples.extend(lost.map(|what| LOST.count([what], 1)));
    for map in lost::MAPS {
        let three = [&MAP_ENTRIES, &MAP_CAPACITY, &MAP_UPDATE_ERRORS];
        samples.extend(three.map(|metric| metric.count([map], 1)));
    }
    let families = super::FAMILIES.map(|family| family.name);
    samples.extend(families.map(|family| SCRAPE_SUCCESS.count([family], 1)));
    let parts = families.into_iter().chain(["self", "text"]);
    samples.extend(parts.map(|part| SCRAPE_DURATION.count([part], 1)));
    samples
}
