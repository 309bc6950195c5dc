//! The demo's table: one line per geometry, from a scrape alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::guest::scrape::Scrape;

const PAGE: f64 = 4096.0;

/// The points that populate struct pages contain each other: the innermost that is there for every geometry.
const POPULATE: [&str; 2] = ["__populate_section_memmap", "__add_pages"];

const HEAD: [[&str; 11]; 2] = [
    [
        "geometry", "regions", "struct", "RAM for", "populate", "populate", "init", "init",
        "pages", "pages", "bytes",
    ],
    [
        "", "", "pages", "them*", "median", "p99", "median", "p99", "pinned", "pinned/s",
        "pinned/s",
    ],
];

pub fn of(scrape: &Scrape) -> String {
    let point = POPULATE.into_iter().find(|point| {
        scrape
            .series(
                "daxscope_vmemmap_populate_duration_seconds_count",
                &[("point", point)],
            )
            .next()
            .is_some()
    });
    let mut geometries: Vec<String> = geometries(scrape).into_iter().collect();
    let place = |geometry: &String| bytes_of(geometry).unwrap_or(f64::INFINITY);
    geometries.sort_by(|a, b| place(a).total_cmp(&place(b)));
    let mut rows = HEAD.map(|line| line.map(str::to_owned)).to_vec();
    rows.extend(
        geometries
            .iter()
            .map(|geometry| row(scrape, geometry, point)),
    );
    let mut text = aligned(&rows);
    let populate = point.map_or("not traceable on this kernel".to_owned(), |point| {
        format!("one call of {point}")
    });
    let _ = write!(
        text,
        "\n* measured by the agent: the pages that back them in the kernel's page tables, and those tables\n\
         populate: {populate}; init: one call of memmap_init_zone_device; percentiles are\n\
         interpolated within the buckets of the histograms. Pages per second are those inside the kernel's pin calls.\n\
         The guest runs on an emulated processor: compare lines with each other, not with real machines.\n"
    );
    text
}

/// Every geometry with a region or a pinned page; `unknown` (calls that returned nothing) has neither.
fn geometries(scrape: &Scrape) -> BTreeSet<String> {
    ["daxscope_pagemaps", "daxscope_gup_pages_total"]
        .iter()
        .flat_map(|name| scrape.series(name, &[]))
        .filter(|(_, value)| *value > 0.0)
        .filter_map(|(labels, _)| labels.get("geometry").cloned())
        .collect()
}

fn row(scrape: &Scrape, geometry: &str, point: Option<&str>) -> [String; 11] {
    let of = [("geometry", geometry)];
    let pins = [("geometry", geometry), ("how", "pin")];
    let populate = [("geometry", geometry), ("point", point.unwrap_or_default())];
    let struct_pages = sum(scrape, "daxscope_struct_pages", &of);
    let pinned = sum(scrape, "daxscope_gup_pages_total", &pins);
    let inside = sum(scrape, "daxscope_gup_duration_seconds_sum", &pins);
    let rate = (inside > 0.0).then(|| pinned / inside);
    let latency = |name: &str, labels: &[(&str, &str)], share| {
        quantile(scrape, name, labels, share).map(seconds)
    };
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let some = |value: f64, show: fn(f64) -> String| dash((value > 0.0).then(|| show(value)));
    [
        geometry.to_owned(),
        some(sum(scrape, "daxscope_pagemaps", &of), count),
        some(struct_pages, count),
        dash(memory(scrape, geometry).map(size)),
        dash(latency(
            "daxscope_vmemmap_populate_duration_seconds",
            &populate,
            0.5,
        )),
        dash(latency(
            "daxscope_vmemmap_populate_duration_seconds",
            &populate,
            0.99,
        )),
        dash(latency("daxscope_memmap_init_duration_seconds", &of, 0.5)),
        dash(latency("daxscope_memmap_init_duration_seconds", &of, 0.99)),
        some(pinned, count),
        dash(rate.map(scaled)),
        dash(rate.map(|rate| format!("{}B", scaled(rate * PAGE)))),
    ]
}

fn sum(scrape: &Scrape, name: &str, labels: &[(&str, &str)]) -> f64 {
    scrape.series(name, labels).map(|(_, value)| value).sum()
}

/// Bytes of RAM that hold the struct pages of all regions of a geometry and map them. `None` if one is not measured, or
/// there is none.
fn memory(scrape: &Scrape, geometry: &str) -> Option<f64> {
    let of_geometry = [("geometry", geometry)];
    let regions = scrape.series("daxscope_pagemap_info", &of_geometry);
    let of = |labels: &BTreeMap<String, String>, backing: &str| {
        let device = labels.get("device")?;
        let of = [
            ("device", device.as_str()),
            ("backing", backing),
            ("method", "measured"),
        ];
        scrape.value("daxscope_pagemap_vmemmap_bytes", &of)
    };
    let each: Option<Vec<f64>> = regions
        .map(|(labels, _)| Some(of(labels, "ram")? + of(labels, "page_tables")?))
        .collect();
    each.filter(|each| !each.is_empty())
        .map(|each| each.iter().sum())
}

/// `2M` in bytes; words such as `system` have none.
fn bytes_of(geometry: &str) -> Option<f64> {
    let unit = match geometry.chars().last()? {
        'K' => 1024.0,
        'M' => 1024.0 * 1024.0,
        'G' => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    geometry[..geometry.len() - 1]
        .parse::<u32>()
        .ok()
        .map(|number| f64::from(number) * unit)
}

/// As Prometheus' `histogram_quantile`: linear within the bucket that holds it.
fn quantile(scrape: &Scrape, name: &str, labels: &[(&str, &str)], share: f64) -> Option<f64> {
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for (labels, value) in scrape.series(&format!("{name}_bucket"), labels) {
        let le = match labels.get("le")?.as_str() {
            "+Inf" => f64::INFINITY,
            le => le.parse().ok()?,
        };
        match buckets
            .iter_mut()
            .find(|(known, _)| known.total_cmp(&le).is_eq())
        {
            Some((_, sum)) => *sum += value,
            None => buckets.push((le, value)),
        }
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let wanted = buckets.last()?.1 * share;
    let at = buckets
        .iter()
        .position(|(_, below)| *below >= wanted && *below > 0.0)?;
    let (lower, before) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    let (upper, below) = buckets[at];
    // Beyond the last bound nothing is known but that bound.
    Some(if upper.is_infinite() {
        lower
    } else {
        lower + (upper - lower) * (wanted - before) / (below - before)
    })
}

fn aligned(rows: &[[String; 11]]) -> String {
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            let width = rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0);
            let _ = if column == 0 {
                write!(text, "{cell:width$}")
            } else {
                write!(text, "  {cell:>width$}")
            };
        }
        text.push('\n');
        if number + 1 == HEAD.len() {
            let width = text.lines().last().map_or(0, |line| line.chars().count());
            text.push_str(&"-".repeat(width));
            text.push('\n');
        }
    }
    text
}

/// `262 144` would be read as two cells; `262,144` is one.
fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn size(bytes: f64) -> String {
    let unit = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut at = 0;
    while value >= 1024.0 && at + 1 < unit.len() {
        value /= 1024.0;
        at += 1;
    }
    if at == 0 {
        format!("{value:.0} B")
    } else {
        format!("{value:.1} {}", unit[at])
    }
}

fn seconds(value: f64) -> String {
    match value {
        value if value >= 1.0 => format!("{value:.1} s"),
        value if value >= 1e-3 => format!("{:.1} ms", value * 1e3),
        value if value >= 1e-6 => format!("{:.1} µs", value * 1e6),
        value => format!("{:.0} ns", value * 1e9),
    }
}

fn scaled(value: f64) -> String {
    match value {
        value if value >= 1e9 => format!("{:.1} G", value / 1e9),
        value if value >= 1e6 => format!("{:.1} M", value / 1e6),
        value if value >= 1e3 => format!("{:.1} k", value / 1e3),
        value => format!("{value:.0} "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAPE: &str = r#"
daxscope_pagemaps{geometry="4K",type="generic"} 1
daxscope_pagemaps{geometry="2M",type="generic"} 1
daxscope_struct_pages{geometry="4K",type="generic"} 262144
daxscope_struct_pages{geometry="2M",type="generic"} 262144
daxscope_pagemap_info{device="dax0.0",geometry="4K"} 1
daxscope_pagemap_info{device="dax1.0",geometry="2M"} 1
daxscope_pagemap_vmemmap_bytes{device="dax0.0",backing="ram",method="measured"} 16777216
daxscope_pagemap_vmemmap_bytes{device="dax0.0",backing="page_tables",method="measured"} 0
daxscope_pagemap_vmemmap_bytes{device="dax1.0",backing="ram",method="measured"} 4194304
daxscope_pagemap_vmemmap_bytes{device="dax1.0",backing="page_tables",method="measured"} 32768
daxscope_vmemmap_populate_duration_seconds_bucket{geometry="2M",point="__add_pages",le="0.001"} 0
daxscope_vmemmap_populate_duration_seconds_bucket{geometry="2M",point="__add_pages",le="0.002"} 4
daxscope_vmemmap_populate_duration_seconds_bucket{geometry="2M",point="__add_pages",le="+Inf"} 4
daxscope_vmemmap_populate_duration_seconds_count{geometry="2M",point="__add_pages"} 4
daxscope_gup_pages_total{how="pin",entry="fast",geometry="system"} 1000
daxscope_gup_pages_total{how="get",entry="fast",geometry="system"} 5
daxscope_gup_pages_total{how="pin",entry="fast",geometry="unknown"} 0
daxscope_gup_duration_seconds_sum{how="pin",geometry="system"} 0.001
"#;

    #[test]
    fn a_line_per_geometry_smallest_first() {
        let text = of(&Scrape::parse(SCRAPE).expect("a scrape"));
        let cells: Vec<Vec<&str>> = text
            .lines()
            .map(|line| {
                line.split("  ")
                    .map(str::trim)
                    .filter(|cell| !cell.is_empty())
                    .collect()
            })
            .collect();
        assert_eq!(
            cells[5],
            [
                "system", "-", "-", "-", "-", "-", "-", "-", "1,000", "1.0 M", "4.1 GB"
            ]
        );
        assert_eq!(
            cells[3],
            [
                "4K", "1", "262,144", "16.0 MiB", "-", "-", "-", "-", "-", "-", "-"
            ]
        );
        assert_eq!(
            cells[4],
            [
                "2M", "1", "262,144", "4.0 MiB", "1.5 ms", "2.0 ms", "-", "-", "-", "-", "-"
            ]
        );
        assert!(text.contains("one call of __add_pages"), "{text}");
    }

    #[test]
    fn memory_is_measured_or_not_told() {
        let scrape = |text: &str| Scrape::parse(text).expect("a scrape");
        assert_eq!(
            memory(&scrape(SCRAPE), "2M").map(size),
            Some("4.0 MiB".to_owned())
        );
        assert_eq!(memory(&scrape(SCRAPE), "1G"), None);
        let unmeasured = SCRAPE.replace("method=\"measured\"", "method=\"formula\"");
        assert_eq!(memory(&scrape(&unmeasured), "2M"), None);
    }

    #[test]
    fn units() {
        assert_eq!(
            [512.0, 8192.0, 4_294_967_296.0].map(size),
            ["512 B", "8.0 KiB", "4.0 GiB"]
        );
        assert_eq!(
            [2e-9, 18.3e-6, 0.004, 1.25].map(seconds),
            ["2 ns", "18.3 µs", "4.0 ms", "1.2 s"]
        );
        assert_eq!([7.0, 1_234_567.0].map(count), ["7", "1,234,567"]);
    }
}
