//! A host that is made up, with the sizes and times of a real one: six regions of persistent memory in two sockets, a
//! database that pins its buffers, and backups that read it. Seeded: the same second is always the same.

mod regions;
mod requests;
mod samples;

use daxscope::snapshot::{Snapshot, Value};

use self::{regions::REGIONS, requests::Requests, samples::Samples};

/// What was counted until some second.
pub struct Host {
    second: u64,
    requests: Requests,
    /// Whether things have gone wrong with it.
    pub ill: bool,
}

impl Host {
    /// As it is in its first second.
    pub fn new(ill: bool) -> Self {
        Self {
            second: 0,
            requests: Requests::none(),
            ill,
        }
    }

    /// Lives on until a second.
    pub fn live(&mut self, until: u64) {
        while self.second < until {
            self.second += 1;
            self.requests.live(self.second);
        }
    }

    pub fn snapshot(&self) -> Snapshot {
        let mut of = Samples::none();
        self.requests.tell(&mut of, self.second);
        for region in &REGIONS {
            region.tell(&mut of, self.second, self.ill);
        }
        regions::came_up(&mut of);
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
        of.snapshot()
    }
}
