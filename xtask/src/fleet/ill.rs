//! A host with which everything is wrong that a scrape can show: what its exposition has in other words than a healthy one's.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};

/// Series of deploy/testdata/exposition.txt, what stands there on the ill host, and its value.
const ILLNESS: [(&str, &str, f64); 18] = [
    same("daxscope_ready", 0.0),
    same("daxscope_self_test_success", 0.0),
    // A function of gup that could not be probed.
    same(r#"daxscope_probes_missing{family="gup"}"#, 1.0),
    (
        r#"daxscope_probe_attached{family="gup",probe="get_user_pages_remote",symbol="get_user_pages_remote",mechanism="fentry",reason=""}"#,
        r#"daxscope_probe_attached{family="gup",probe="get_user_pages_remote",symbol="get_user_pages_remote",mechanism="none",reason="EACCES: perf_event_paranoid is 3, and a kprobe needs CAP_SYS_ADMIN then"}"#,
        0.0,
    ),
    // Requests that were not seen.
    same(r#"daxscope_lost_total{what="start"}"#, 40.0),
    same(r#"daxscope_lost_total{what="missed_return"}"#, 30.0),
    same(
        r#"daxscope_probe_missed_total{family="gup",probe="pin_user_pages_fast",end="return"}"#,
        40.0,
    ),
    same(r#"daxscope_map_entries{map="GUP_SPANS"}"#, 24_576.0),
    same(r#"daxscope_map_update_errors_total{map="GUP_SPANS"}"#, 40.0),
    same(
        r#"daxscope_kernel_pages_difference{counter="nr_memmap_pages"}"#,
        512.0,
    ),
    // A device that does not go away, and one whose struct pages take more than they should of little RAM.
    same(r#"daxscope_memunmap_in_progress{device="dax1.0"}"#, 1.0),
    same(r#"daxscope_memunmap_age_seconds{device="dax1.0"}"#, 400.0),
    (
        r#"daxscope_pagemap_deduplicated{device="dax4.0",reason=""}"#,
        r#"daxscope_pagemap_deduplicated{device="dax4.0",reason="measured"}"#,
        0.0,
    ),
    same("daxscope_memory_bytes", 134_217_728.0),
    // Who serves it.
    same(r#"daxscope_confined{layer="landlock"}"#, 0.0),
    same(
        r#"daxscope_http_connections_rejected_total{reason="handshake"}"#,
        3.0,
    ),
    same("daxscope_web_config_reload_success", 0.0),
    same("daxscope_web_config_reload_failures_total", 1.0),
];

const fn same(series: &'static str, value: f64) -> (&'static str, &'static str, f64) {
    (series, series, value)
}

/// Alerts that follow from it, each with the device that it is of.
pub const ALERTS: [(&str, &str); 8] = [
    ("DaxscopeNotReady", ""),
    ("DaxscopeProbeNotAttached", ""),
    ("DaxscopeLosses", ""),
    ("DaxscopeDeduplicationLost", "dax4.0"),
    ("DaxscopeStructPageMemoryHigh", ""),
    ("DaxscopeUnmapStuck", "dax1.0"),
    ("DaxscopeReloadFailed", ""),
    ("DaxscopeCertificateExpires", ""),
];

/// Alerts that no scrape alone makes: their tests are promtool's.
pub const OF_HISTORY: [&str; 4] = [
    // There are hosts.
    "DaxscopeAbsent",
    // Five hours, a week, a week.
    "DaxscopePinsGrowing",
    "DaxscopePinSlower",
    "DaxscopePopulateSlower",
];

/// An exposition, with the illness.
pub fn exposition(healthy: &str) -> Result<String> {
    let mut lines: Vec<String> = healthy.lines().map(str::to_owned).collect();
    for (series, instead, value) in ILLNESS {
        let of_it = |line: &&mut String| {
            line.strip_prefix(series)
                .is_some_and(|rest| rest.starts_with(' '))
        };
        let found: Vec<_> = lines.iter_mut().filter(of_it).collect();
        ensure!(
            found.len() == 1,
            "deploy/testdata/exposition.txt has {} lines of {series}",
            found.len()
        );
        for line in found {
            *line = format!("{instead} {value}");
        }
    }
    // Of a host with TLS, ten days before it can no longer be asked.
    let soon = SystemTime::now() + Duration::from_hours(240);
    let soon = soon.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let expiry = "daxscope_web_certificate_expiry_timestamp_seconds";
    lines.push(format!("# TYPE {expiry} gauge"));
    lines.push(format!("{expiry} {soon}"));
    Ok(lines.join("\n"))
}
