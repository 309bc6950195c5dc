//! The exposition itself: which probes it says are attached, and whether its text is sound.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::Scope;
use super::stage::Stage;
use crate::guest::http;
use crate::guest::oracle;
use crate::guest::report::{Figures, Report};
use crate::guest::scrape::Scrape;

/// Every metric of issue 2, section 2.
const METRICS: &[&str] = &[
    "daxscope_build_info",
    "daxscope_probe_attached",
    "daxscope_pagemaps",
    "daxscope_struct_pages",
    "daxscope_memremap_calls_total",
    "daxscope_memremap_duration_seconds",
    "daxscope_memmap_init_duration_seconds",
    "daxscope_memmap_init_struct_pages_total",
    "daxscope_vmemmap_populate_duration_seconds",
    "daxscope_vmemmap_populate_struct_pages_total",
    "daxscope_gup_calls_total",
    "daxscope_gup_pages_total",
    "daxscope_gup_duration_seconds",
    "daxscope_gup_errors_total",
    "daxscope_unpinned_pages_total",
];

/// Points on functions that this kernel lets us trace, and on which nothing sits that is needed: 5.10 takes no fentry on
/// functions of more than six parameters.
fn missing(scrape: &Scrape) -> Result<u64> {
    let traceable = oracle::traceable()?;
    let probes = scrape.series("daxscope_probe_attached", &[]);
    let missing = probes.filter(|(labels, value)| {
        let label = |key: &str| labels.get(key).map_or("", String::as_str);
        let needless = label("reason").starts_with("not needed");
        *value == 0.0 && !needless && traceable.contains(label("symbol"))
    });
    Ok(missing.count() as u64)
}

/// A probe is attached to a function that can be traced, or gives its reason.
pub fn probes(scrape: &Scrape, figures: &mut Figures) -> Result<()> {
    let traceable = oracle::traceable()?;
    let mut attached = 0;
    for (labels, value) in scrape.series("daxscope_probe_attached", &[]) {
        let label = |key: &str| labels.get(key).map_or("", String::as_str);
        let (probe, symbol, reason) = (label("probe"), label("symbol"), label("reason"));
        if value > 0.0 {
            attached += 1;
            figures.holds_quietly(
                &format!("{probe} sits on {symbol:?}, which is traceable"),
                traceable.contains(symbol),
            );
            // Behind a kprobe may stand why it was taken, behind fentry only that it may miss calls.
            let kprobe = label("mechanism") == "kprobe";
            let plain = reason.is_empty() || kprobe || reason.contains("preempts itself");
            figures.holds_quietly(&format!("{probe} is attached, yet {reason:?}"), plain);
        } else {
            figures.holds(
                &format!("{probe} is not attached: {reason:?}"),
                !reason.is_empty(),
            );
        }
    }
    figures.holds(&format!("{attached} probes attached"), attached > 0);
    Ok(())
}

/// `MemTotal` of `/proc/meminfo`, in KiB.
fn ram() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total = total.context("/proc/meminfo has no MemTotal")?;
    Ok(total.trim().trim_end_matches(" kB").parse()?)
}

/// Series, the lines of a histogram one by one: at most 600 of a host (agent/src/probes/series.rs has the worst case) and 40
/// of each device.
fn bounded(figures: &mut Figures, scrape: &Scrape) {
    let mut devices: BTreeMap<&str, usize> = BTreeMap::new();
    let mut host = 0;
    for labels in scrape.labels() {
        match labels.get("device") {
            Some(device) => *devices.entry(device).or_default() += 1,
            None => host += 1,
        }
    }
    figures.holds(
        &format!("{host} series of the host"),
        (1..=600).contains(&host),
    );
    let most = devices.into_values().max().unwrap_or(0);
    figures.holds(&format!("at most {most} of a device"), most <= 40);
}

/// After all the work: every metric is described and has samples, histograms add up, no address leaks.
pub fn scrape(report: &mut Report, stage: &Stage) {
    report.check(&format!("run/{}-exposition", stage.mechanism), |figures| {
        let scrape = stage.agent.scrape()?;
        // A metric shows from its first event on, and a short stage has not had them all.
        for name in METRICS.iter().filter(|_| stage.scope == Scope::Full) {
            let described = ["# HELP", "# TYPE"].iter().all(|word| {
                let line = format!("{word} {name} ");
                scrape.text.lines().any(|found| found.starts_with(&line))
            });
            figures.holds_quietly(&format!("{name} has HELP and TYPE"), described);
        }
        let faults = scrape.histogram_faults();
        figures.holds(&format!("histogram faults: {faults:?}"), faults.is_empty());
        bounded(figures, &scrape);
        figures.equal(
            "RAM of the host, in KiB",
            ram()?,
            scrape.total("daxscope_memory_bytes", &[]) / 1024,
        );
        figures.equal(
            "probes missing",
            missing(&scrape)?,
            scrape.total("daxscope_probes_missing", &[]),
        );
        figures.holds(
            "no kernel address in the text",
            !scrape.text.contains("ffff8") && !scrape.text.contains("0xffff"),
        );
        for path in ["/healthz", "/"] {
            let body = http::get(stage.agent.address, path)?;
            figures.holds(
                &format!("{path} answers {} bytes", body.len()),
                !body.is_empty(),
            );
        }
        let stray = http::get(stage.agent.address, "/no-such-page");
        figures.holds(
            "/no-such-page is not found",
            stray.is_err_and(|error| format!("{error:#}").contains("404")),
        );
        Ok(())
    });
}
