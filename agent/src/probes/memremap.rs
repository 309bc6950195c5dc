//! Room memremap. Traces: `memremap_pages`, `memunmap_pages`, `memmap_init_zone_device`.
//! Produces: the live pagemaps and their struct pages, calls and durations by geometry.

use std::collections::BTreeMap;

use anyhow::Result;
use daxscope_common::{
    hist::Hist,
    memremap::{MemmapInit, Memremap, Memunmap},
    point,
};

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
    help: "Calls of memremap_pages, by result: ok or the errno. Source: return of memremap_pages.",
    labels: &["geometry", "type", "result"],
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

fn read(probes: &Probes) -> Result<Vec<Sample>> {
    let object = probes.object();
    let geometries = Geometries::read(probes)?;
    let types = |value: u32| probes.memory_type(value);
    let mut samples = vec![];
    // Every pair of geometry and type that is or was live: what is gone is 0, not missing.
    let mut live: BTreeMap<(String, String), [u64; 2]> = BTreeMap::new();
    for (slot, geometry) in &geometries.slots {
        let slot = *slot as usize;
        let calls: Memremap = maps::per_cpu(object, "MEMREMAP", slot)?;
        for (kind, result, n) in by_type_and_result(&calls) {
            let kind = types(kind);
            samples.push(CALLS.count([geometry, &kind, &result_name(result)], n));
            if result == 0 {
                live.entry((geometry.clone(), kind)).or_default();
            }
        }
        samples.extend(DURATION.durations([geometry], calls.duration));
        let unmaps: Memunmap = maps::per_cpu(object, "MEMUNMAP", slot)?;
        samples.extend(UNMAP_DURATION.durations([geometry], unmaps.duration));
        let init: MemmapInit = maps::per_cpu(object, "MEMMAP_INIT", slot)?;
        let device = *geometry != "system" && *geometry != "unknown";
        if device || init.duration != Hist::ZERO {
            samples.push(INIT_STRUCT_PAGES.count([geometry], init.struct_pages));
        }
        samples.extend(INIT_DURATION.durations([geometry], init.duration));
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
    for ((geometry, kind), [count, pages]) in live {
        samples.push(PAGEMAPS_LIVE.count([&geometry, &kind], count));
        samples.push(STRUCT_PAGES.count([&geometry, &kind], pages));
    }
    Ok(samples)
}

/// Memory type, errno and calls, where there were any.
fn by_type_and_result(of: &Memremap) -> impl Iterator<Item = (u32, usize, u64)> {
    let types = (0u32..).zip(&of.calls);
    types.flat_map(|(kind, results)| {
        let each = results.iter().copied().enumerate();
        each.filter(|(_, n)| *n > 0)
            .map(move |(result, n)| (kind, result, n))
    })
}

fn result_name(result: usize) -> String {
    match result {
        0 => "ok".into(),
        errno => errno::name(errno),
    }
}
