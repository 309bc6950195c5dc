//! Regions of persistent memory, and what their struct pages cost.

use daxscope::snapshot::Value;
use daxscope_common::hist::{self, Hist};

use super::samples::Samples;

/// Bytes of a struct page, and of a section of memory: x86-64.
const STRUCT_PAGE: u64 = 64;
const SECTION_PAGES: u64 = 1 << 15;
const GIB_PAGES: u64 = 1 << 18;

/// A region: device, namespace, node, mode, type, geometry, size in GiB, whether its struct pages are on it, pinned pages.
pub struct Region(
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    u64,
    bool,
    i64,
);

pub const REGIONS: [Region; 6] = [
    Region(
        "dax0.0",
        "namespace0.0",
        "0",
        "devdax",
        "generic",
        "2M",
        126,
        false,
        131_072,
    ),
    Region(
        "dax0.1",
        "namespace0.1",
        "0",
        "devdax",
        "generic",
        "4K",
        62,
        false,
        4_096,
    ),
    Region(
        "dax1.0",
        "namespace1.0",
        "1",
        "devdax",
        "generic",
        "1G",
        252,
        false,
        2_359_296,
    ),
    Region(
        "dax1.1",
        "namespace1.1",
        "1",
        "devdax",
        "generic",
        "2M",
        62,
        true,
        0,
    ),
    Region(
        "pmem2",
        "namespace2.0",
        "0",
        "fsdax",
        "fs_dax",
        "4K",
        248,
        true,
        512,
    ),
    Region(
        "pmem3",
        "namespace3.0",
        "1",
        "fsdax",
        "fs_dax",
        "4K",
        62,
        false,
        0,
    ),
];

impl Region {
    pub fn tell(&self, of: &mut Samples, second: u64, ill: bool) {
        let Region(device, namespace, node, mode, kind, geometry, gib, on_device, pinned) = *self;
        let pages = gib * GIB_PAGES;
        let all = pages * STRUCT_PAGE;
        let sections = pages / SECTION_PAGES;
        // With 2M, two of eight pages of struct pages are left; with 1G, two of 4096.
        let (ram, tables) = match geometry {
            _ if on_device => (0, 0),
            "2M" => (all / 4, sections * 4096),
            "1G" => (gib * 2 * 4096, sections * 4096),
            _ => (all, sections * 512),
        };
        let on_it = if on_device { all } else { 0 };
        let labels = [
            ("device", device),
            ("namespace", namespace),
            ("node", node),
            ("driver", "device_dax"),
            ("mode", mode),
            ("type", kind),
            ("geometry", geometry),
            ("source", "pgmap_array"),
        ];
        of.count("pagemap_info", &labels, 1);
        let device = ("device", device);
        of.count("pagemap_struct_pages", &[device], pages);
        for method in ["formula", "measured"] {
            for (backing, bytes) in [("ram", ram), ("device", on_it), ("page_tables", tables)] {
                of.count(
                    "pagemap_vmemmap_bytes",
                    &[device, ("backing", backing), ("method", method)],
                    bytes,
                );
            }
        }
        let shared = ram + tables < all && !on_device;
        let saved = if shared {
            all + sections * 512 - ram - tables
        } else {
            0
        };
        of.add(
            "pagemap_vmemmap_saved_bytes",
            &[device],
            Value::Real(saved as f64),
        );
        let reason = match geometry {
            "4K" => "geometry 4K",
            _ if on_device => "altmap",
            _ => "",
        };
        of.count(
            "pagemap_deduplicated",
            &[device, ("reason", reason)],
            shared.into(),
        );
        let wave = (second as f64 / 37.0).sin() * 0.02 * pinned as f64;
        of.add(
            "pagemap_pinned_pages",
            &[device],
            Value::Real((pinned as f64 + wave).round()),
        );
        let going = ill && device.1 == "pmem3";
        of.count("memunmap_in_progress", &[device], going.into());
        of.add(
            "memunmap_age_seconds",
            &[device],
            Value::Real(if going { 312.0 + second as f64 } else { 0.0 }),
        );
    }
}

/// What it took to bring them up.
pub fn came_up(of: &mut Samples) {
    let one = |ns: u64, n: u64| {
        let mut hist = Hist::ZERO;
        hist.slots[hist::slot(ns)] = n;
        hist.sum = ns * n;
        Value::Durations(Box::new(hist))
    };
    let (two, one_g) = (("geometry", "2M"), ("geometry", "1G"));
    of.add("memremap_duration_seconds", &[two], one(2_310_000_000, 1));
    of.add("memremap_duration_seconds", &[one_g], one(4_480_000_000, 1));
    of.add(
        "memmap_init_duration_seconds",
        &[two],
        one(1_720_000_000, 1),
    );
    of.add(
        "memmap_init_duration_seconds",
        &[one_g],
        one(3_350_000_000, 1),
    );
    of.add(
        "vmemmap_populate_duration_seconds",
        &[two, ("point", "vmemmap_populate")],
        one(21_000, 496),
    );
    of.add(
        "vmemmap_populate_duration_seconds",
        &[one_g, ("point", "vmemmap_populate")],
        one(19_500, 2016),
    );
}
