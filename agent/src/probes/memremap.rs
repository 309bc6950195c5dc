//! Room memremap. Traces: `memremap_pages`, `memunmap_pages`, `memmap_init_zone_device`.
//! Produces: the live pagemaps and their struct pages, calls and durations by geometry.

use std::collections::BTreeMap;

use anyhow::Result;
use daxscope_common::{
    ERRNOS,
    hist::Hist,
    memremap::{MemmapInit, Memremap, Memunmap},
    point,
};
use nix::errno::Errno;

use super::{Family, Need, Point, geometry::Geometries, live, maps};
use crate::{
    errno,
    load::Probes,
    snapshot::{Kind, Metric, REGIONS, Sample},
};

pub static FAMILY: Family = Family {
    name: "memremap",
    points: &[
        Point {
            name: "memremap_pages",
            number: point::MEMREMAP_PAGES,
            symbols: &["memremap_pages"],
            returns: true,
            reads: &[(0, &["pgmap"])],
            need: Need::Always,
        },
        Point {
            name: "memunmap_pages",
            number: point::MEMUNMAP_PAGES,
            symbols: &["memunmap_pages"],
            returns: true,
            reads: &[(0, &["pgmap"])],
            need: Need::Always,
        },
        Point {
            name: "memmap_init_zone_device",
            number: point::MEMMAP_INIT_ZONE_DEVICE,
            symbols: &["memmap_init_zone_device"],
            returns: true,
            reads: &[(1, &["start_pfn"]), (2, &["nr_pages"]), (3, &["pgmap"])],
            need: Need::Always,
        },
    ],
    metrics: &[
        &PAGEMAPS_LIVE,
        &STRUCT_PAGES,
        &CALLS,
        &DURATION,
        &UNMAP_DURATION,
        &INIT_DURATION,
        &INIT_STRUCT_PAGES,
    ],
    read,
};

static PAGEMAPS_LIVE: Metric = Metric {
    name: "pagemaps",
    kind: Kind::Gauge,
    help: "Live pagemaps (struct dev_pagemap), whenever they came up. Source: the inventory at the start, then the \
           returns of memremap_pages and memunmap_pages.",
    labels: &["geometry", "type"],
};
static STRUCT_PAGES: Metric = Metric {
    name: "struct_pages",
    kind: Kind::Gauge,
    help: "Struct pages of the live pagemaps: base pages in their ranges, whether deduplicated or not. Source: \
           dev_pagemap.ranges, as the inventory or the return of memremap_pages found them.",
    labels: &["geometry", "type"],
};
static CALLS: Metric = Metric {
    name: "memremap_calls_total",
    kind: Kind::Counter,
    help: "Calls of memremap_pages, by result: ok, the errno where it is a likely one, else other. Source: return of \
           memremap_pages.",
    labels: &["geometry", "result"],
};
static DURATION: Metric = Metric {
    name: "memremap_duration_seconds",
    kind: Kind::Histogram(&REGIONS),
    help: "Time that memremap_pages took to bring up a pagemap with all its ranges, in seconds. Source: entry and \
           return of memremap_pages.",
    labels: &["geometry"],
};
static UNMAP_DURATION: Metric = Metric {
    name: "memunmap_duration_seconds",
    kind: Kind::Histogram(&REGIONS),
    help: "Time that memunmap_pages took to take a pagemap down, the wait for the last reference on its pages \
           included, in seconds. Source: entry and return of memunmap_pages.",
    labels: &["geometry"],
};
static INIT_DURATION: Metric = Metric {
    name: "memmap_init_duration_seconds",
    kind: Kind::Histogram(&REGIONS),
    help: "Time to initialise the struct pages of one range, in seconds. Source: entry and return of \
           memmap_init_zone_device.",
    labels: &["geometry"],
};
static INIT_STRUCT_PAGES: Metric = Metric {
    name: "memmap_init_struct_pages_total",
    kind: Kind::Counter,
    help: "Struct pages that were initialised, counted as the kernel's own message does: the range without what an \
           altmap takes; where the memory map is deduplicated fewer of them are really written. Source: arguments of \
           memmap_init_zone_device.",
    labels: &["geometry"],
};

/// No memory (or something is there already, which the kernel does not tell apart), and a pagemap that is not filled in.
const NAMED: [Errno; 2] = [Errno::ENOMEM, Errno::EINVAL];

/// What the maps hold of one geometry.
struct Figures {
    geometry: String,
    calls: Memremap,
    unmaps: Memunmap,
    init: MemmapInit,
}

/// Pagemaps and struct pages, by geometry and memory type.
type Live = BTreeMap<(String, String), [u64; 2]>;

fn read(probes: &Probes) -> Result<Vec<Sample>> {
    let object = probes.object();
    let geometries = Geometries::read(probes)?;
    let types = |value: u32| probes.memory_type(value);
    let mut samples = vec![];
    // Every pair of geometry and type that is or was live: what is gone is 0, not missing.
    let mut live = Live::new();
    for (slot, geometry) in &geometries.slots {
        let slot = *slot as usize;
        let figures = Figures {
            geometry: geometry.clone(),
            calls: maps::per_cpu(object, "MEMREMAP", slot)?,
            unmaps: maps::per_cpu(object, "MEMUNMAP", slot)?,
            init: maps::per_cpu(object, "MEMMAP_INIT", slot)?,
        };
        for (kind, results) in (0u32..).zip(&figures.calls.calls) {
            if results[0] > 0 {
                live.entry((geometry.clone(), types(kind))).or_default();
            }
        }
        samples.extend(of_geometry(&figures));
    }
    for geometry in &geometries.not_yet(probes) {
        samples.push(INIT_STRUCT_PAGES.count([geometry], 0));
    }
    for (_, pagemap) in live::read(object)? {
        let geometry = live::geometry_of(live::shift(&pagemap), probes.facts.layout.page_shift);
        let [count, pages] = live.entry((geometry, types(pagemap.kind))).or_default();
        *count += 1;
        *pages += pagemap.struct_pages;
    }
    samples.extend(of_live(&live));
    Ok(samples)
}

fn of_geometry(figures: &Figures) -> Vec<Sample> {
    let Figures {
        geometry,
        calls,
        unmaps,
        init,
    } = figures;
    let mut by_errno = [0; ERRNOS];
    for results in &calls.calls {
        for (sum, n) in by_errno.iter_mut().zip(results) {
            *sum += n;
        }
    }
    let ok = (by_errno[0] > 0).then(|| ("ok".to_owned(), by_errno[0]));
    let failed = errno::grouped(&by_errno, &NAMED);
    let mut samples: Vec<_> = ok
        .into_iter()
        .chain(failed)
        .map(|(result, n)| CALLS.count([geometry, &result], n))
        .collect();
    let known = geometry != "unknown";
    if (known && geometry != "system") || init.duration != Hist::ZERO {
        samples.push(INIT_STRUCT_PAGES.count([geometry], init.struct_pages));
    }
    if known {
        samples.extend(DURATION.durations([geometry], calls.duration));
        samples.extend(UNMAP_DURATION.durations([geometry], unmaps.duration));
        samples.extend(INIT_DURATION.durations([geometry], init.duration));
    }
    samples
}

fn of_live(live: &Live) -> impl Iterator<Item = Sample> {
    live.iter().flat_map(|((geometry, kind), [count, pages])| {
        [
            PAGEMAPS_LIVE.count([geometry, kind], *count),
            STRUCT_PAGES.count([geometry, kind], *pages),
        ]
    })
}

/// All that a host can have. No pagemap describes system memory; only device-dax makes pagemaps of other than base pages
/// (`vmemmap_shift`, drivers/dax/device.c), which are of type generic.
#[cfg(test)]
pub(super) fn worst() -> Vec<Sample> {
    use super::series::{GEOMETRIES, SOME};

    const TYPES: [&str; 5] = ["private", "coherent", "fs_dax", "generic", "pci_p2pdma"];
    let geometries = GEOMETRIES.into_iter().filter(|of| *of != "system");
    let of = |geometry: &str| {
        of_geometry(&Figures {
            geometry: geometry.to_owned(),
            calls: Memremap {
                duration: SOME,
                calls: [[1; ERRNOS]; daxscope_common::memremap::TYPES],
            },
            unmaps: Memunmap { duration: SOME },
            init: MemmapInit {
                struct_pages: 1,
                duration: SOME,
            },
        })
    };
    let pairs = TYPES.map(|kind| ("4K", kind)).into_iter();
    let pairs = pairs.chain([("2M", "generic"), ("1G", "generic"), ("unknown", "generic")]);
    let live = pairs.map(|(geometry, kind)| ((geometry.to_owned(), kind.to_owned()), [1, 1]));
    let live: Live = live.collect();
    geometries.flat_map(of).chain(of_live(&live)).collect()
}
