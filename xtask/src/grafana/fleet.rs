//! All hosts: what they cost together, which stand out, and what is wrong with any.

use super::board::{Board, Kind, Panel, Row};

pub fn board() -> Board {
    Board {
        uid: "daxscope-fleet",
        title: "daxscope / fleet",
        says: "All hosts of a cluster: memory of struct pages by geometry, hosts that stand out, pins, and daxscope's own health.",
        one_host: false,
        rows: vec![now(), memory(), pins(), health()],
    }
}

/// Of rules that know clusters and no hosts.
const CLUSTER: &str = r#"job="daxscope", cluster=~"$cluster""#;

fn of(
    kind: Kind,
    title: &'static str,
    unit: &'static str,
    says: &'static str,
    queries: &[(&'static str, &str)],
) -> Panel {
    let queries: Vec<(&str, String)> = queries
        .iter()
        .map(|(legend, expr)| (*legend, expr.replace("{CLUSTER}", CLUSTER)))
        .collect();
    let queries: Vec<(&str, &str)> = queries
        .iter()
        .map(|(legend, expr)| (*legend, expr.as_str()))
        .collect();
    Panel::new(kind, title, unit, says, &queries)
}

fn now() -> Row {
    let panels = vec![
        of(Kind::Stat, "Hosts", "locale", "Hosts that Prometheus scrapes, or tries to.", &[("", "sum(cluster:daxscope_hosts:count{{CLUSTER}})")]),
        of(Kind::Stat, "Not reached", "locale", "Hosts whose daxscope cannot be scraped now.", &[("", "sum(cluster:daxscope_hosts:count{{CLUSTER}}) - sum(cluster:daxscope_up:sum{{CLUSTER}})")])
            .limits(1.0, 10.0)
            .runbook("DaxscopeDown"),
        of(Kind::Stat, "Ready", "percentunit", "Hosts that are ready, of those that are reached.", &[("", "sum(cluster:daxscope_ready:sum{{CLUSTER}}) / sum(cluster:daxscope_up:sum{{CLUSTER}})")])
            .runbook("DaxscopeNotReady"),
        of(Kind::Stat, "RAM for struct pages", "bytes", "RAM that describes device memory, of all hosts.", &[("", "sum(cluster_geometry:daxscope_vmemmap_ram_bytes:sum{{CLUSTER}})")]),
        of(Kind::Stat, "Share of RAM", "percentunit", "The same as a share of all RAM.", &[("", "sum(cluster_geometry:daxscope_vmemmap_ram_bytes:sum{{CLUSTER}}) / sum(cluster:daxscope_memory_bytes:sum{{CLUSTER}})")])
            .limits(0.05, 0.1)
            .runbook("DaxscopeStructPageMemoryHigh"),
        of(Kind::Stat, "Saved by geometry", "bytes", "What struct pages take less than base pages would in the same places.", &[("", "sum(cluster:daxscope_vmemmap_saved_bytes:sum{{CLUSTER}})")]),
        of(Kind::Table, "Alerts", "locale", "Pending and firing. The name of each is that of its page in docs/runbooks.", &[("", r#"max by (alertname, alertstate, severity, cluster, instance, device) (ALERTS{alertname=~"Daxscope.*", cluster=~"$cluster"})"#)]),
    ];
    Row {
        title: "Now",
        panels,
    }
}

fn memory() -> Row {
    let panels = vec![
        of(Kind::Stack, "RAM for struct pages by geometry", "bytes", "A geometry of 4K takes 64 bytes for each page of 4 KiB; larger ones share them, unless they are on the device.", &[("{{cluster}} {{geometry}}", "cluster_geometry:daxscope_vmemmap_ram_bytes:sum{{CLUSTER}}")])
            .runbook("DaxscopeStructPageMemoryHigh"),
        of(Kind::Stack, "Device memory by geometry", "bytes", "What the struct pages describe, in pages of 4 KiB.", &[("{{cluster}} {{geometry}}", "cluster_geometry:daxscope_struct_pages:sum{{CLUSTER}} * 4096")]),
        of(Kind::Lines, "Hosts with the largest share", "percentunit", "The ten hosts whose struct pages take most of their RAM.", &[("{{instance}}", "topk(10, instance:daxscope_vmemmap_ram:ratio{{HOST}})")])
            .limits(0.05, 0.1)
            .runbook("DaxscopeStructPageMemoryHigh"),
        of(Kind::Lines, "Devices not deduplicated", "locale", "By why not. `measured` should never be here.", &[("{{reason}}", "count by (reason) (daxscope_pagemap_deduplicated{{DEVICE}} == 0)")])
            .runbook("DaxscopeDeduplicationLost"),
    ];
    Row {
        title: "Memory",
        panels,
    }
}

fn pins() -> Row {
    let panels = vec![
        of(Kind::Stack, "Pages pinned by geometry", "pps", "Pages that FOLL_PIN requests returned, per second, of all hosts.", &[("{{cluster}} {{geometry}}", r#"cluster_how_geometry:daxscope_gup_pages:rate5m{{CLUSTER}, how="pin"}"#)]),
        of(Kind::Stack, "Pages held by geometry", "locale", "References by FOLL_PIN on device pages.", &[("{{cluster}} {{geometry}}", "cluster_geometry:daxscope_pinned_pages:sum{{CLUSTER}}")])
            .runbook("DaxscopePinsGrowing"),
        of(Kind::Heat, "Time inside pin requests", "s", "How many requests per second took how long, of all hosts: rates of five minutes, since the rule adds up the hosts.", &[("", r#"sum by (le) (cluster_how_geometry_le:daxscope_gup_duration_seconds_bucket:rate5m{{CLUSTER}, how="pin"})"#)])
            .runbook("DaxscopePinSlower"),
        of(Kind::Lines, "99th percentile by geometry", "s", "Over all hosts, interpolated within a bucket.", &[("{{geometry}}", r#"histogram_quantile(0.99, sum by (le, geometry) (cluster_how_geometry_le:daxscope_gup_duration_seconds_bucket:rate5m{{CLUSTER}, how="pin"}))"#)])
            .runbook("DaxscopePinSlower"),
        of(Kind::Lines, "Slowest hosts", "s", "The ten hosts with the highest mean time inside a pin request over an hour.", &[("{{instance}} {{geometry}}", r#"topk(10, instance_how_geometry:daxscope_gup_duration_seconds:mean1h{{HOST}, how="pin"})"#)])
            .runbook("DaxscopePinSlower"),
        of(Kind::Lines, "Devices with the most pages held", "locale", "The ten devices with the most references by FOLL_PIN.", &[("{{instance}} {{device}}", "topk(10, daxscope_pagemap_pinned_pages{{DEVICE}})")])
            .runbook("DaxscopePinsGrowing"),
    ];
    Row {
        title: "Pins",
        panels,
    }
}

fn health() -> Row {
    let panels = vec![
        of(Kind::Lines, "Hosts that see least", "percentunit", "The ten hosts that lose the largest share of requests.", &[("{{instance}}", "topk(10, instance:daxscope_lost:ratio15m{{HOST}})")])
            .limits(0.0001, 0.001)
            .runbook("DaxscopeLosses"),
        of(Kind::Lines, "Hosts with missing probes", "locale", "By family. 0 is as it should be.", &[("{{family}}", "count by (family) (daxscope_probes_missing{{HOST}} > 0) or sum by (family) (daxscope_probes_missing{{HOST}}) * 0")])
            .runbook("DaxscopeProbeNotAttached"),
        of(Kind::Lines, "Hosts by version", "locale", "During an upgrade one line falls and another rises.", &[("{{version}}", "count by (version) (daxscope_build_info{{HOST}})")]),
        of(Kind::Lines, "Time of a scrape", "s", "As Prometheus sees it: the mean and the slowest host.", &[
            ("mean", "avg(scrape_duration_seconds{{HOST}})"),
            ("slowest", "max(scrape_duration_seconds{{HOST}})"),
        ]),
        of(Kind::Lines, "Series of a host", "locale", "Samples in a scrape: the mean and the largest. At most 600, and 40 for each device.", &[
            ("mean", "avg(scrape_samples_scraped{{HOST}})"),
            ("most", "max(scrape_samples_scraped{{HOST}})"),
        ]),
        of(Kind::Lines, "Processor of daxscope", "percentunit", "Of one CPU: the mean of all hosts and the highest.", &[
            ("mean", "avg(rate(process_cpu_seconds_total{{HOST}}[$__rate_interval]))"),
            ("most", "max(rate(process_cpu_seconds_total{{HOST}}[$__rate_interval]))"),
        ]),
    ];
    Row {
        title: "daxscope itself",
        panels,
    }
}
