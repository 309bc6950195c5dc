//! One host: what its devices cost, who pins them, how long that takes, and whether daxscope sees it all.

use super::board::{Board, Kind, Panel, Row};

pub fn board() -> Board {
    Board {
        uid: "daxscope-host",
        title: "daxscope / host",
        says: "One host: memory of struct pages, pins and their latency by geometry, regions, and daxscope itself.",
        one_host: true,
        rows: vec![now(), devices(), pins(), regions(), agent()],
    }
}

fn now() -> Row {
    let panels = vec![
        Panel::new(Kind::Stat, "Ready", "bool_yes_no", "Whether all required probes are attached, the self-test passed and nothing was lost lately. /readyz of the host says why not.", &[("", "daxscope_ready{{HOST}}")])
            .runbook("DaxscopeNotReady"),
        Panel::new(Kind::Stat, "RAM for struct pages", "bytes", "RAM that describes the host's device memory, with the page tables for it: measured, else by formula.", &[("", "instance:daxscope_vmemmap_ram_bytes:sum{{HOST}}")]),
        Panel::new(Kind::Stat, "Share of RAM", "percentunit", "The same as a share of the RAM that the kernel manages. An alert fires at a tenth.", &[("", "instance:daxscope_vmemmap_ram:ratio{{HOST}}")])
            .limits(0.05, 0.1)
            .runbook("DaxscopeStructPageMemoryHigh"),
        Panel::new(Kind::Stat, "Saved by geometry", "bytes", "What struct pages take less than base pages would in the same places.", &[("", "instance:daxscope_vmemmap_saved_bytes:sum{{HOST}}")]),
        Panel::new(Kind::Stat, "Pages held", "locale", "References by FOLL_PIN on device pages now, of 4 KiB each on x86.", &[("", "sum(daxscope_pagemap_pinned_pages{{DEVICE}})")])
            .runbook("DaxscopePinsGrowing"),
        Panel::new(Kind::Stat, "Not seen", "percentunit", "Requests that were not counted or have no latency, of all in 15 minutes. All rates below are too low by as much.", &[("", "instance:daxscope_lost:ratio15m{{HOST}}")])
            .limits(0.0001, 0.001)
            .runbook("DaxscopeLosses"),
    ];
    Row {
        title: "Now",
        panels,
    }
}

fn devices() -> Row {
    let panels = vec![
        Panel::new(Kind::Table, "Devices", "bytes", "Each live pagemap. Geometry is the page size that its struct pages describe.", &[
            ("", "max by (instance, device, namespace, mode, type, geometry, node) (daxscope_pagemap_info{{DEVICE}})"),
            ("RAM", "sum by (instance, device) (instance_device:daxscope_vmemmap_ram_bytes:sum{{DEVICE}})"),
            ("On the device", r#"max by (instance, device) (daxscope_pagemap_vmemmap_bytes{{DEVICE}, backing="device"})"#),
            ("Saved", "sum by (instance, device) (daxscope_pagemap_vmemmap_saved_bytes{{DEVICE}})"),
            ("Pages held (bytes)", "sum by (instance, device) (daxscope_pagemap_pinned_pages{{DEVICE}}) * 4096"),
        ]),
        Panel::new(Kind::Stack, "RAM for struct pages by device", "bytes", "Measured in the kernel's page tables where they can be read, else by formula.", &[("{{device}}", "instance_device:daxscope_vmemmap_ram_bytes:sum{{DEVICE}}")])
            .runbook("DaxscopeStructPageMemoryHigh"),
        Panel::new(Kind::States, "Deduplicated", "bool_yes_no", "Green while struct pages of the device share memory. A 4K geometry never does, nor one with its struct pages on the device.", &[("{{device}}", "max by (device) (daxscope_pagemap_deduplicated{{DEVICE}})")])
            .runbook("DaxscopeDeduplicationLost"),
        Panel::new(Kind::Lines, "Pages held by device", "locale", "References by FOLL_PIN on the pages of a device. A plateau is somebody who registered memory; a slope that never falls is somebody who forgets to give it back.", &[("{{device}}", "daxscope_pagemap_pinned_pages{{DEVICE}}")])
            .runbook("DaxscopePinsGrowing"),
        Panel::new(Kind::Lines, "Going away", "s", "For how long a device has been waiting for the last reference on its pages. Above 0 for long: somebody holds it.", &[("{{device}}", "daxscope_memunmap_age_seconds{{DEVICE}}")])
            .limits(60.0, 300.0)
            .runbook("DaxscopeUnmapStuck"),
        Panel::new(Kind::Lines, "Kernel's account less ours", "locale", "In pages, should be about 0. Of nr_memmap_pages: memory of struct pages that no pagemap explains, such as hot-added RAM. Of nr_foll_pin: pins that daxscope did not see.", &[("{{counter}}", "daxscope_kernel_pages_difference{{HOST}}")])
            .width(24),
    ];
    Row {
        title: "Devices",
        panels,
    }
}

fn pins() -> Row {
    let panels = vec![
        Panel::new(Kind::Stack, "Pages pinned by geometry", "pps", "Pages that FOLL_PIN requests returned, per second. system is memory of no device.", &[("{{geometry}}", r#"sum by (geometry) (rate(daxscope_gup_pages_total{{HOST}, how="pin"}[$__rate_interval]))"#)]),
        Panel::new(Kind::Stack, "Pages given back by geometry", "pps", "Pins that were released, per second, with those that the kernel itself undoes inside a request.", &[("{{geometry}}", "sum by (geometry) (rate(daxscope_unpinned_pages_total{{HOST}}[$__rate_interval]))")]),
        Panel::new(Kind::Lines, "Requests by entry point", "reqps", "Which way into mm/gup.c they take. fast runs without a lock, slow and remote take mmap_lock.", &[("{{how}} {{entry}}", "sum by (how, entry) (rate(daxscope_gup_calls_total{{HOST}}[$__rate_interval]))")]),
        Panel::new(Kind::Lines, "Long-term requests by geometry", "reqps", "Requests with FOLL_LONGTERM: registered buffers, RDMA, guests with devices of their own.", &[("{{geometry}}", "sum by (geometry) (rate(daxscope_gup_longterm_calls_total{{HOST}}[$__rate_interval]))")]),
        Panel::new(Kind::Heat, "Time inside pin requests", "s", "How many requests took how long, page faults included. Buckets are fourfold up to a millisecond; `daxscope trace` has finer ones.", &[("", r#"sum by (le) (increase(daxscope_gup_duration_seconds_bucket{{HOST}, how="pin"}[$__rate_interval]))"#)])
            .runbook("DaxscopePinSlower"),
        Panel::new(Kind::Lines, "Time inside pin requests by geometry", "s", "The mean is exact. The 99th percentile is interpolated within a bucket.", &[
            ("{{geometry}} mean", r#"sum by (geometry) (rate(daxscope_gup_duration_seconds_sum{{HOST}, how="pin"}[$__rate_interval])) / sum by (geometry) (rate(daxscope_gup_duration_seconds_count{{HOST}, how="pin"}[$__rate_interval]))"#),
            ("{{geometry}} p99", r#"histogram_quantile(0.99, sum by (le, geometry) (rate(daxscope_gup_duration_seconds_bucket{{HOST}, how="pin"}[$__rate_interval])))"#),
        ])
            .runbook("DaxscopePinSlower"),
        Panel::new(Kind::Lines, "Failed requests by errno", "reqps", "EFAULT: addresses where nothing is. EOPNOTSUPP: a file's pages, long term. EAGAIN: asked not to wait.", &[("{{how}} {{errno}}", "sum by (how, errno) (rate(daxscope_gup_errors_total{{HOST}}[$__rate_interval]))")]),
        Panel::new(Kind::Lines, "Pages of a request", "locale", "Mean pages that a request returned, by geometry: large ones cost less each.", &[("{{how}} {{geometry}}", "sum by (how, geometry) (rate(daxscope_gup_pages_total{{HOST}}[$__rate_interval])) / (sum by (how, geometry) (rate(daxscope_gup_calls_total{{HOST}}[$__rate_interval])) > 0)")]),
    ];
    Row {
        title: "Pins",
        panels,
    }
}

fn regions() -> Row {
    let mean = |name: &str| {
        format!("sum by (geometry) (increase(daxscope_{name}_duration_seconds_sum{{HOST}}[1h])) / (sum by (geometry) (increase(daxscope_{name}_duration_seconds_count{{HOST}}[1h])) > 0)")
            .replace("{HOST}", "{{HOST}}")
    };
    let means = ["memremap", "memmap_init", "memunmap"].map(mean);
    let panels = vec![
        Panel::new(Kind::Lines, "Pagemaps by geometry", "locale", "Live pagemaps, by geometry and memory type.", &[("{{geometry}} {{type}}", "daxscope_pagemaps{{HOST}}")]),
        Panel::new(Kind::Heat, "Time to populate a section", "s", "How many calls took how long: memory for the struct pages of 128 MiB each on x86.", &[("", "sum by (le) (increase(daxscope_vmemmap_populate_duration_seconds_bucket{{HOST}}[$__rate_interval]))")])
            .runbook("DaxscopePopulateSlower"),
        Panel::new(Kind::Lines, "Time of work on a region", "s", "Mean of the last hour: bringing up (all of it), initialising struct pages (a part of that), taking down (the wait for references included).", &[
            ("up {{geometry}}", means[0].as_str()),
            ("init {{geometry}}", means[1].as_str()),
            ("down {{geometry}}", means[2].as_str()),
        ]),
        Panel::new(Kind::Lines, "Struct pages initialised", "locale", "Per second, by geometry. Of a deduplicated memory map fewer are really written.", &[("{{geometry}}", "sum by (geometry) (rate(daxscope_memmap_init_struct_pages_total{{HOST}}[$__rate_interval]))")]),
    ];
    Row {
        title: "Regions",
        panels,
    }
}

fn agent() -> Row {
    let panels = vec![
        Panel::new(Kind::Lines, "Probes by mechanism", "locale", "Probe points that are attached. none: points that this kernel does not have or need, or that are missing.", &[
            ("{{mechanism}}", "count by (mechanism) (daxscope_probe_attached{{HOST}})"),
            ("missing: {{family}}", "sum by (family) (daxscope_probes_missing{{HOST}})"),
        ])
            .runbook("DaxscopeProbeNotAttached"),
        Panel::new(Kind::Lines, "Lost", "cps", "What could not be measured, per second, by what it was.", &[
            ("{{what}}", "sum by (what) (rate(daxscope_lost_total{{HOST}}[$__rate_interval]))"),
            ("missed: {{family}}", "sum by (family) (rate(daxscope_probe_missed_total{{HOST}}[$__rate_interval]))"),
        ])
            .runbook("DaxscopeLosses"),
        Panel::new(Kind::Lines, "Tables", "percentunit", "How full the tables of the programs are. What does not get into a full one is lost, and counted.", &[("{{map}}", "daxscope_map_entries{{HOST}} / daxscope_map_capacity{{HOST}}")])
            .limits(0.8, 0.95)
            .runbook("DaxscopeLosses"),
        Panel::new(Kind::States, "Confined", "bool_yes_no", "Green while a layer of confinement is in force. Kernels before 5.13, and Debian's 5.10, have no Landlock.", &[("{{layer}}", "max by (layer) (daxscope_confined{{HOST}})")]),
        Panel::new(Kind::Stack, "Time of a scrape", "s", "By what is read. Scrapes are the only time when daxscope does anything outside the probes.", &[("{{family}}", "sum by (family) (daxscope_scrape_duration_seconds{{HOST}})")]),
        Panel::new(Kind::Lines, "Processor", "percentunit", "Of one CPU, by the process. What the probes take is in the processes that they measure (docs/cost.md).", &[("CPU", "rate(process_cpu_seconds_total{{HOST}}[$__rate_interval])")]),
        Panel::new(Kind::Lines, "Memory", "bytes", "Resident memory of the process. Its eBPF maps are not in it.", &[("resident", "process_resident_memory_bytes{{HOST}}")]),
        Panel::new(Kind::Lines, "Requests to daxscope", "reqps", "HTTP requests by path and code, and connections that were cut, by reason.", &[
            ("{{path}} {{code}}", "sum by (path, code) (rate(daxscope_http_requests_total{{HOST}}[$__rate_interval]))"),
            ("cut: {{reason}}", "sum by (reason) (rate(daxscope_http_connections_rejected_total{{HOST}}[$__rate_interval]))"),
        ]),
    ];
    Row {
        title: "daxscope itself",
        panels,
    }
}
