//! The metrics of room gup, and how they follow from its maps. Calls and pages are told apart by entry point and geometry;
//! everything else by fewer labels, so that a host stays within its series.

use std::collections::BTreeMap;

use anyhow::Result;
use daxscope_common::{
    ERRNOS, geometry,
    gup::{Gup, GupErrors},
    hist::Hist,
};
use nix::errno::Errno;

use super::{
    super::{geometry::Geometries, maps},
    ENTRIES,
};
use crate::{
    errno,
    load::Probes,
    snapshot::{CALLS as CALL_BOUNDS, Kind, Metric, Sample},
};

pub(super) static METRICS: &[&Metric] = &[
    &CALLS,
    &PAGES,
    &SAMPLED_CALLS,
    &LONGTERM_CALLS,
    &LONGTERM_PAGES,
    &DURATION,
    &ERRORS,
    &UNPINNED,
];

static CALLS: Metric = Metric {
    name: "gup_calls_total",
    kind: Kind::Counter,
    help: "Requests for user pages, each counted once, by the geometry of the first page returned (unknown if none \
           was). Source: return of the entry point in mm/gup.c.",
    labels: &["how", "entry", "geometry"],
};
static PAGES: Metric = Metric {
    name: "gup_pages_total",
    kind: Kind::Counter,
    help: "User pages returned by successful requests; for memfd, folios. Source: return of the entry point in \
           mm/gup.c.",
    labels: &["how", "entry", "geometry"],
};
static SAMPLED_CALLS: Metric = Metric {
    name: "gup_sampled_calls_total",
    kind: Kind::Counter,
    help: "Of the requests, those with pages of which not each was looked at or proven to be like its neighbours: too many \
           that do not follow each other in memory. By the geometry of the first page. Source: the programs.",
    labels: &["geometry"],
};
static LONGTERM_CALLS: Metric = Metric {
    name: "gup_longterm_calls_total",
    kind: Kind::Counter,
    help: "Of the requests, those with FOLL_LONGTERM, by the geometry of the first page returned. Source: gup_flags of \
           the entry point in mm/gup.c.",
    labels: &["geometry"],
};
static LONGTERM_PAGES: Metric = Metric {
    name: "gup_longterm_pages_total",
    kind: Kind::Counter,
    help: "Of the pages returned, those asked for with FOLL_LONGTERM. Source: gup_flags and the return of the entry \
           point in mm/gup.c.",
    labels: &["geometry"],
};
static DURATION: Metric = Metric {
    name: "gup_duration_seconds",
    kind: Kind::Histogram(&CALL_BOUNDS),
    help: "Time inside requests for user pages whose first page has a known geometry, page faults included, in seconds; \
           of those that returned none, `daxscope trace` tells the time. Source: entry and return of the entry point in \
           mm/gup.c.",
    labels: &["how", "geometry"],
};
static ERRORS: Metric = Metric {
    name: "gup_errors_total",
    kind: Kind::Counter,
    help: "Requests for user pages that failed, by errno: those that mm/gup.c itself returns, and all others as other; \
           `daxscope trace` tells them by entry point. Source: return of the entry point in mm/gup.c.",
    labels: &["how", "errno"],
};
static UNPINNED: Metric = Metric {
    name: "unpinned_pages_total",
    kind: Kind::Counter,
    help: "Pins given back, those that the kernel itself undoes included. Source: entry of gup_put_folio \
           (put_compound_head before 5.19) with FOLL_PIN; where the compiler copied that into others (probe_attached \
           tells), entries of the exported unpin functions too, and of it outside of those.",
    labels: &["geometry"],
};

/// What mm/gup.c itself returns: no mapping or no right, killed or asked not to wait, no memory, a page that the hardware lost,
/// a file system's page asked for long term, flags that do not go together.
const NAMED: [Errno; 7] = [
    Errno::EFAULT,
    Errno::EINTR,
    Errno::EAGAIN,
    Errno::ENOMEM,
    Errno::EHWPOISON,
    Errno::EOPNOTSUPP,
    Errno::EINVAL,
];

/// A way into GUP: its labels `how` and `entry`, and what was counted by geometry.
type Entry = ([&'static str; 2], Vec<(String, Gup)>);

/// What the maps hold.
struct Figures {
    /// Each that is attached.
    entries: Vec<Entry>,
    /// Failed requests by errno: of `pin` and `get`.
    errors: BTreeMap<&'static str, [u64; ERRNOS]>,
    unpinned: Vec<(String, u64)>,
}

pub(super) fn read(probes: &Probes) -> Result<Vec<Sample>> {
    let object = probes.object();
    let geometries = Geometries::read(probes)?;
    let mut figures = Figures {
        entries: vec![],
        errors: BTreeMap::new(),
        unpinned: vec![],
    };
    for (number, how, entry) in ENTRIES {
        if probes.attached(number).is_none() {
            continue;
        }
        let of = |(slot, geometry): &(u32, String)| {
            let index = number as usize * geometry::SLOTS + *slot as usize;
            anyhow::Ok((geometry.clone(), maps::per_cpu(object, "GUP", index)?))
        };
        let stats: Result<_> = geometries.slots.iter().map(of).collect();
        figures.entries.push(([how, entry], stats?));
        let errors: GupErrors = maps::per_cpu(object, "GUP_ERRORS", number as usize)?;
        let sums = figures.errors.entry(how).or_insert([0; ERRNOS]);
        for (sum, n) in sums.iter_mut().zip(errors.by_errno) {
            *sum += n;
        }
    }
    for (slot, geometry) in geometries.slots {
        let pages = maps::per_cpu(object, "GUP_UNPINNED", slot as usize)?;
        figures.unpinned.push((geometry, pages));
    }
    Ok(samples(&figures))
}

fn samples(figures: &Figures) -> Vec<Sample> {
    let mut samples = vec![];
    // Sampled and long-term calls, long-term pages.
    let mut parts: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    let mut durations: BTreeMap<[&str; 2], Hist> = BTreeMap::new();
    for ([how, entry], stats) in &figures.entries {
        for (geometry, stats) in stats {
            let unknown = geometry == "unknown";
            let sums = parts.entry(geometry).or_default();
            sums[0] += stats.sampled_calls;
            sums[1] += stats.longterm_calls;
            sums[2] += stats.longterm_pages;
            if unknown && stats.calls == 0 && stats.pages == 0 {
                continue;
            }
            let labels = [*how, *entry, geometry.as_str()];
            samples.push(CALLS.count(labels, stats.calls));
            samples.push(PAGES.count(labels, stats.pages));
            if !unknown {
                let of = durations
                    .entry([how, geometry.as_str()])
                    .or_insert(Hist::ZERO);
                of.add(&stats.duration);
            }
        }
    }
    for (geometry, [sampled, calls, pages]) in parts {
        if geometry != "unknown" || sampled + calls + pages > 0 {
            samples.push(SAMPLED_CALLS.count([geometry], sampled));
            samples.push(LONGTERM_CALLS.count([geometry], calls));
            samples.push(LONGTERM_PAGES.count([geometry], pages));
        }
    }
    for (labels, of) in durations {
        samples.extend(DURATION.durations(labels, of));
    }
    for (how, by_errno) in &figures.errors {
        for (errno, n) in errno::grouped(by_errno, &NAMED) {
            samples.push(ERRORS.count([how, &errno], n));
        }
    }
    for (geometry, pages) in &figures.unpinned {
        if *pages > 0 || geometry != "unknown" {
            samples.push(UNPINNED.count([geometry], *pages));
        }
    }
    samples
}

/// All that a host can have: every way into GUP, with every geometry and every errno.
#[cfg(test)]
pub(in super::super) fn worst() -> Vec<Sample> {
    use super::super::series::{GEOMETRIES, SOME};

    let geometries = GEOMETRIES.map(str::to_owned);
    let stats = Gup {
        calls: 1,
        pages: 1,
        sampled_calls: 1,
        longterm_calls: 1,
        longterm_pages: 1,
        duration: SOME,
    };
    let entries = ENTRIES.map(|(_, how, entry)| {
        let each = geometries.iter().map(|geometry| (geometry.clone(), stats));
        ([how, entry], each.collect())
    });
    samples(&Figures {
        entries: entries.into(),
        errors: ["pin", "get"].map(|how| (how, [1; ERRNOS])).into(),
        unpinned: geometries.map(|geometry| (geometry, 1)).into(),
    })
}
