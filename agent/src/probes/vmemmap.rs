//! Room vmemmap. Traces: `__populate_section_memmap`, `vmemmap_populate`, else `__add_pages`.
//! Produces: durations and struct pages by point and geometry.

use anyhow::Result;
use daxscope_common::{
    geometry,
    hist::Hist,
    point,
    vmemmap::{FIRST, Populate},
};

use super::{Family, Need, Point, geometry::Geometries, maps};
use crate::{
    load::Probes,
    snapshot::{Kind, Metric, SECTIONS, Sample},
};

pub static FAMILY: Family = Family {
    name: "vmemmap",
    points: &[
        // Traceable since __meminit is empty under memory hotplug (73db3abdca58, 6.11 and some stable releases).
        Point {
            name: "populate_section_memmap",
            number: point::POPULATE_SECTION_MEMMAP,
            symbols: &["__populate_section_memmap"],
            returns: true,
            reads: &[(1, &["nr_pages"])],
            need: Need::Extra,
        },
        // Not called where the memory map is deduplicated: that is what it tells.
        Point {
            name: "vmemmap_populate",
            number: point::VMEMMAP_POPULATE,
            symbols: &["vmemmap_populate"],
            returns: true,
            reads: &[(0, &["start"]), (1, &["end"])],
            need: Need::Extra,
        },
        Point {
            name: "add_pages",
            number: point::ADD_PAGES,
            symbols: &["__add_pages"],
            returns: true,
            reads: &[(2, &["nr_pages"])],
            need: Need::InsteadOf(&[point::POPULATE_SECTION_MEMMAP]),
        },
    ],
    metrics: &[&DURATION, &STRUCT_PAGES],
    read,
};

static DURATION: Metric = Metric {
    name: "vmemmap_populate_duration_seconds",
    kind: Kind::Histogram(&SECTIONS),
    help: "Time to populate the memory map, in seconds, one call each, at the outermost point that could be attached. \
           Source: entry and return of the function named by point.",
    labels: &["geometry", "point"],
};
static STRUCT_PAGES: Metric = Metric {
    name: "vmemmap_populate_struct_pages_total",
    kind: Kind::Counter,
    help: "Struct pages that got memory (or share it, where deduplicated) by successful calls; the points contain \
           each other, so compare within one. Source: arguments of the function named by point.",
    labels: &["geometry", "point"],
};

/// Points of which the first that is attached is timed: the others are inside of it, or it is.
const TIMED: [u32; 3] = [
    point::POPULATE_SECTION_MEMMAP,
    point::ADD_PAGES,
    point::VMEMMAP_POPULATE,
];

fn read(probes: &Probes) -> Result<Vec<Sample>> {
    let geometries = Geometries::read(probes)?;
    let not_yet = geometries.not_yet(probes);
    let timed = TIMED
        .into_iter()
        .find(|point| probes.attached(*point).is_some());
    let mut samples = vec![];
    for point in FAMILY.points {
        let Some(symbol) = probes.attached(point.number) else {
            continue;
        };
        let first = (point.number - FIRST) as usize * geometry::SLOTS;
        let is_timed = timed == Some(point.number);
        for (slot, geometry) in &geometries.slots {
            let index = first + *slot as usize;
            let stats: Populate = maps::per_cpu(probes.object(), "VMEMMAP", index)?;
            samples.extend(of_point(symbol, is_timed, geometry, &stats));
        }
        for geometry in &not_yet {
            samples.push(STRUCT_PAGES.count([geometry, symbol], 0));
        }
    }
    Ok(samples)
}

fn of_point(symbol: &str, timed: bool, geometry: &str, stats: &Populate) -> Vec<Sample> {
    let known = geometry != "unknown";
    let mut samples = vec![];
    if known || stats.duration != Hist::ZERO {
        samples.push(STRUCT_PAGES.count([geometry, symbol], stats.struct_pages));
    }
    if known && timed {
        samples.extend(DURATION.durations([geometry, symbol], stats.duration));
    }
    samples
}

/// All that a host can have: two points at once, since one only stands in for another.
#[cfg(test)]
pub(super) fn worst() -> Vec<Sample> {
    use super::series::{GEOMETRIES, SOME};

    let stats = Populate {
        struct_pages: 1,
        duration: SOME,
    };
    let points = [
        ("__populate_section_memmap", true),
        ("vmemmap_populate", false),
    ];
    let of = |(symbol, timed)| {
        GEOMETRIES
            .into_iter()
            .flat_map(move |geometry| of_point(symbol, timed, geometry, &stats))
    };
    points.into_iter().flat_map(of).collect()
}
