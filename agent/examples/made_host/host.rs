//! A host that is made up, with the sizes and times of a real one: six regions of persistent memory in two sockets, a
//! database that pins its buffers, and backups that read it. Seeded: the same second is always the same.

use std::collections::BTreeMap;

use daxscope::{
    probes,
    snapshot::{Metric, Sample, Snapshot, Value},
};
use daxscope_common::hist::{self, Hist, SLOTS};

/// Bytes of a struct page, and of a section of memory: x86-64.
const STRUCT_PAGE: u64 = 64;
const SECTION_PAGES: u64 = 1 << 15;
const GIB_PAGES: u64 = 1 << 18;

/// What goes on in a group of requests: how, entry, geometry; calls in a second, pages of each; nanoseconds that half of them
/// take, how far the others are from that; seconds after which it repeats itself, for which share of them it is held up.
struct Load(
    &'static str,
    &'static str,
    &'static str,
    f64,
    u64,
    f64,
    f64,
    f64,
    f64,
);

const LOADS: [Load; 9] = [
    Load("pin", "fast", "system", 310.0, 8, 1_900.0, 0.22, 240.0, 0.0),
    Load("pin", "fast", "2M", 4_200.0, 16, 1_250.0, 0.25, 420.0, 0.12),
    Load("pin", "fast", "1G", 850.0, 64, 2_700.0, 0.2, 600.0, 0.0),
    Load("pin", "fast", "4K", 95.0, 128, 31_000.0, 0.3, 300.0, 0.2),
    Load("pin", "remote", "2M", 3.0, 512, 88_000.0, 0.4, 90.0, 0.0),
    Load("pin", "memfd", "system", 0.2, 4, 7_000.0, 0.3, 60.0, 0.0),
    Load("get", "fast", "system", 1_900.0, 1, 420.0, 0.3, 700.0, 0.05),
    Load("get", "fast", "2M", 40.0, 4, 800.0, 0.3, 150.0, 0.0),
    Load("get", "remote", "system", 0.9, 1, 5_200.0, 0.5, 45.0, 0.0),
];

/// A region: device, namespace, node, mode, type, geometry, size in GiB, whether its struct pages are on it, pinned pages.
struct Region(
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

const REGIONS: [Region; 6] = [
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

/// What was counted until some second.
pub struct Host {
    second: u64,
    seed: u64,
    counted: Vec<(u64, Hist)>,
    /// Whether things have gone wrong with it.
    pub ill: bool,
}

impl Host {
    /// As it is in its first second.
    pub fn new(ill: bool) -> Self {
        Self {
            second: 0,
            seed: 1,
            counted: LOADS.iter().map(|_| (0, Hist::ZERO)).collect(),
            ill,
        }
    }

    /// Lives on until a second.
    pub fn live(&mut self, until: u64) {
        while self.second < until {
            self.second += 1;
            for (index, load) in LOADS.iter().enumerate() {
                self.work(index, load);
            }
        }
    }

    fn work(&mut self, index: usize, load: &Load) {
        let Load(_, _, _, calls, _, median, spread, every, held_up) = *load;
        let phase = (self.second as f64 / every).fract();
        let wave = 1.0 + 0.45 * (phase * std::f64::consts::TAU).sin();
        let held_up = phase > 1.0 - held_up;
        let median = median * if held_up { 14.0 } else { 0.9 + 0.2 * wave };
        let calls = calls * wave * if held_up { 0.5 } else { 1.0 };
        let mut below = 0.0;
        for slot in 0..SLOTS {
            // How many take at most so long: a bell over the logarithm, with a few that take far longer.
            let share = |median: f64, spread: f64| {
                let ns = hist::bound(slot) as f64;
                1.0 / (1.0 + ((median.ln() - ns.ln()) / spread).exp())
            };
            let part = 0.994 * share(median, spread) + 0.006 * share(median * 25.0, 0.6);
            let expected = (part - below) * calls;
            below = part;
            let n = (expected + self.chance()) as u64;
            let (all, hist) = &mut self.counted[index];
            *all += n;
            hist.slots[slot] += n;
            hist.sum += n * hist::bound(slot).min(hist::MAX);
        }
    }

    /// From 0 to 1: the low bits of a linear congruence are poor, so the high ones.
    fn chance(&mut self) -> f64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) as f64 / f64::from(1_u32 << 31)
    }

    pub fn snapshot(&self) -> Snapshot {
        let mut of = Samples {
            metrics: probes::metrics()
                .map(|metric| (metric.name, metric))
                .collect(),
            samples: vec![],
        };
        self.requests(&mut of);
        for region in &REGIONS {
            self.region(&mut of, region);
        }
        Self::coming_up(&mut of);
        for verdict in super::verdicts(self.ill) {
            let attached = verdict.mechanism.is_some();
            let by = verdict
                .mechanism
                .map_or("none", |mechanism| mechanism.name());
            let labels = [
                ("family", verdict.family),
                ("probe", verdict.point),
                ("symbol", verdict.symbol),
                ("mechanism", by),
                ("reason", &verdict.reason),
            ];
            of.count("probe_attached", &labels, attached.into());
        }
        for (map, entries, capacity) in [
            ("GUP_SPANS", 14, 24_576),
            ("GUP_PAGEMAPS", 5, 1024),
            ("REGION_SPANS", 0, 1024),
            ("MEMREMAP_PAGEMAPS", 6, 1024),
        ] {
            of.count("map_entries", &[("map", map)], entries);
            of.count("map_capacity", &[("map", map)], capacity);
        }
        for (family, seconds) in [
            ("memremap", 0.0002),
            ("vmemmap", 0.0001),
            ("gup", 0.0011),
            ("pagemap", 0.0009),
            ("self", 0.0008),
        ] {
            of.add(
                "scrape_duration_seconds",
                &[("family", family)],
                Value::Real(seconds),
            );
        }
        of.count(
            "lost_total",
            &[("what", "missed_return")],
            if self.ill { 41 } else { 0 },
        );
        of.count(
            "build_info",
            &[
                ("version", daxscope::VERSION),
                ("revision", daxscope::REVISION),
            ],
            1,
        );
        of.count("inventory_info", &[("source", "pgmap_array")], 1);
        of.count("memory_bytes", &[], 384 << 30);
        of.count("process_resident_memory_bytes", &[], 7_340_032);
        of.add(
            "process_cpu_seconds_total",
            &[],
            Value::Real(0.31 + self.second as f64 * 0.0009),
        );
        of.count("process_open_fds", &[], 96);
        Snapshot {
            samples: of.samples,
        }
    }

    fn requests(&self, of: &mut Samples) {
        for (load, (calls, hist)) in LOADS.iter().zip(&self.counted) {
            let Load(how, entry, geometry, _, pages, ..) = *load;
            let labels = [("how", how), ("entry", entry), ("geometry", geometry)];
            of.count("gup_calls_total", &labels, *calls);
            of.count("gup_pages_total", &labels, calls * pages);
            of.add(
                "gup_duration_seconds",
                &labels,
                Value::Durations(Box::new(*hist)),
            );
        }
        of.count(
            "gup_errors_total",
            &[("how", "pin"), ("entry", "fast"), ("errno", "EFAULT")],
            3,
        );
        of.count(
            "gup_errors_total",
            &[("how", "get"), ("entry", "remote"), ("errno", "EIO")],
            self.second / 97,
        );
    }

    fn region(&self, of: &mut Samples, region: &Region) {
        let Region(device, namespace, node, mode, kind, geometry, gib, on_device, pinned) = *region;
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
        let wave = (self.second as f64 / 37.0).sin() * 0.02 * pinned as f64;
        of.add(
            "pagemap_pinned_pages",
            &[device],
            Value::Real((pinned as f64 + wave).round()),
        );
        let going = self.ill && device.1 == "pmem3";
        of.count("memunmap_in_progress", &[device], going.into());
        of.add(
            "memunmap_age_seconds",
            &[device],
            Value::Real(if going {
                312.0 + self.second as f64
            } else {
                0.0
            }),
        );
    }

    fn coming_up(of: &mut Samples) {
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
}

struct Samples {
    metrics: BTreeMap<&'static str, &'static Metric>,
    samples: Vec<Sample>,
}

impl Samples {
    /// A series with the labels that its metric has, of those given.
    fn add(&mut self, name: &str, labels: &[(&str, &str)], value: Value) {
        let metric = self
            .metrics
            .get(name)
            .unwrap_or_else(|| panic!("there is no metric {name}"));
        let given = |label: &&'static str| {
            labels
                .iter()
                .find(|(name, _)| name == label)
                .map_or("", |(_, value)| value)
        };
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| given(label).to_owned())
            .collect();
        // Where a metric does without one of the labels, its series are sums.
        let same =
            |sample: &&mut Sample| std::ptr::eq(sample.metric, *metric) && sample.labels == labels;
        match (self.samples.iter_mut().find(same), value) {
            (
                Some(Sample {
                    value: Value::Count(sum),
                    ..
                }),
                Value::Count(n),
            ) => *sum += n,
            (
                Some(Sample {
                    value: Value::Durations(sum),
                    ..
                }),
                Value::Durations(hist),
            ) => {
                sum.sum += hist.sum;
                sum.slots
                    .iter_mut()
                    .zip(hist.slots)
                    .for_each(|(sum, n)| *sum += n);
            }
            (_, value) => self.samples.push(Sample {
                metric,
                labels,
                value,
            }),
        }
    }

    fn count(&mut self, name: &str, labels: &[(&str, &str)], count: u64) {
        self.add(name, labels, Value::Count(count));
    }
}
