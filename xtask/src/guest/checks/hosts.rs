//! Hosts that let the agent see less: it shows what it can, and says what it cannot and why. Nothing is silently missing,
//! and nothing is made up.

mod told;

use anyhow::Result;
use serde_json::Value;

use self::told::{
    all_required, attached_by, by_formula, check, check_any, gauges, honest, list, names, pagemap,
    refused, remedy, same, source, text, unmeasured,
};
use super::stage::Stage;
use super::{LISTEN, Scope, crossings};
use crate::guest::agent::Agent;
use crate::guest::host::{self, Means, Sysctl};
use crate::guest::oracle::{self, Hits};
use crate::guest::region::{Device, GEOMETRIES, Map, Mode, Namespaces, Wanted};
use crate::guest::report::{Figures, Report};

const PARANOID: &str = "kernel/perf_event_paranoid";

/// The last part of a guest: a lockdown cannot be lifted.
pub fn all(report: &mut Report) {
    let mut devices = Vec::new();
    report.check("hosts/regions", |figures| {
        let namespaces = Namespaces::find()?;
        let fsdax = Wanted {
            mode: Mode::Fsdax,
            map: Map::Dev,
        };
        devices = vec![
            Device::create(
                &namespaces.small[0],
                Wanted::devdax(GEOMETRIES[1], Map::Mem),
            )?,
            Device::create(&namespaces.small[1], fsdax)?,
        ];
        figures.equal("regions", 2, devices.len());
        Ok(())
    });
    report.check("hosts/no-btf", |figures| no_btf(figures, &devices));
    report.check("hosts/no-addresses", |figures| {
        no_addresses(figures, &devices)
    });
    for paranoid in ["2", "3"] {
        report.check(
            &format!("hosts/two-capabilities-paranoid-{paranoid}"),
            |figures| two_capabilities(figures, &devices, paranoid),
        );
    }
    report.check("hosts/nothing", nothing);
    report.check("hosts/lockdown-confidentiality", |figures| {
        confidentiality(figures, &devices)
    });
    report.check("hosts/regions-gone", |figures| {
        for device in &devices {
            device.destroy()?;
        }
        figures.equal("regions", 2, devices.len());
        Ok(())
    });
}

/// Without the kernel's types only kprobes work, and no structure of the kernel can be read.
fn no_btf(figures: &mut Figures, devices: &[Device]) -> Result<()> {
    let means = Means::NoBtf;
    let told = check(figures, means, "auto", 3)?;
    let unknown = told["geometry_unknown"].as_str().unwrap_or_default();
    names(figures, "check on geometries", unknown, "btf");
    attached_by(figures, &told, "kprobe");
    let told = list(figures, means)?;
    names(
        figures,
        "list on its source",
        text(&told["source_reason"]),
        "btf",
    );
    for device in devices {
        let found = pagemap(&told, device)?;
        same(
            figures,
            device,
            found,
            "struct_pages",
            device.struct_pages(),
        );
        let known = text(&found["geometry"]);
        let right = known.is_empty() || known == device.geometry()?.name;
        figures.holds(&format!("{}: geometry {known:?}", device.name()), right);
        figures.equal(
            &format!("{} RAM", device.name()),
            &Value::Null,
            &found["used"],
        );
        let reason = text(&found["measured_unknown"]);
        figures.holds(&format!("a reason: {reason}"), !reason.is_empty());
    }
    let agent = Agent::start_with(means, &[], LISTEN)?;
    let scrape = agent.scrape()?;
    source(figures, &scrape, "btf");
    let pages: u64 = devices.iter().map(Device::struct_pages).sum();
    figures.equal(
        "struct pages at the first scrape",
        pages,
        scrape.total("daxscope_struct_pages", &[]),
    );
    unmeasured(figures, &scrape, devices);
    // Which flags say that a call is made by another entry point is not known then; where the frames lie is.
    let hits = Hits::watch(oracle::GUP.iter().map(|(symbol, ..)| *symbol))?;
    let stage = Stage::new("kprobe", &agent, &hits, Scope::Brief, true);
    crossings::nested(figures, &stage)
}

/// Types, but no addresses: the kernel's list cannot be found. sysfs has the same devices, a formula the same figures.
fn no_addresses(figures: &mut Figures, devices: &[Device]) -> Result<()> {
    let _restricted = Sysctl::set("kernel/kptr_restrict", "2")?;
    let told = list(figures, Means::All)?;
    names(
        figures,
        "list on its source",
        text(&told["source_reason"]),
        "kptr_restrict",
    );
    by_formula(figures, &told, devices)?;
    let agent = Agent::start(&[], LISTEN)?;
    let scrape = agent.scrape()?;
    source(figures, &scrape, "kptr_restrict");
    gauges(figures, &scrape, devices)?;
    unmeasured(figures, &scrape, devices);
    // What goes and comes under watch is as right as anywhere.
    devices[0].unbind()?;
    gauges(figures, &agent.scrape()?, &devices[1..])?;
    devices[0].bind()?;
    gauges(figures, &agent.scrape()?, devices)
}

/// What a careful unit gives. Debian's default of `perf_event_paranoid`, 3, leaves fentry only, which cannot take functions
/// of seven parameters on 5.10 and 6.1.
fn two_capabilities(figures: &mut Figures, devices: &[Device], paranoid: &str) -> Result<()> {
    let _paranoid = Sysctl::set(PARANOID, paranoid)?;
    let means = Means::TwoCapabilities;
    if paranoid == "2" {
        // All probes attach; what makes it less is that regions of before cannot be read.
        let told = check(figures, means, "kprobe", 3)?;
        all_required(figures, &told);
        attached_by(figures, &told, "kprobe");
    } else {
        let told = check(figures, means, "kprobe", 1)?;
        remedy(figures, &told, "perf_event_paranoid");
        let told = check_any(means, "auto")?.1;
        attached_by(figures, &told, "fentry");
        for probe in told["probes"].as_array().into_iter().flatten() {
            let missing = probe["attached"] == false && probe["required"] == true;
            let name = text(&probe["probe"]);
            let excused =
                !missing || (name.ends_with("_remote") && !text(&probe["reason"]).is_empty());
            figures.holds_quietly(&format!("{name} is missing: {}", probe["reason"]), excused);
        }
    }
    let told = list(figures, means)?;
    honest(figures, means, &told)?;
    // Addresses in sysfs are for root, so regions of before are not known; what comes up is.
    let agent = Agent::start_with(means, &[], LISTEN)?;
    let scrape = agent.scrape()?;
    source(figures, &scrape, "cap_syslog");
    let of = [("counter", "nr_memmap_pages")];
    let differ = scrape.value("daxscope_kernel_pages_difference", &of);
    figures.holds(
        &format!("no difference to the kernel from what is not known: {differ:?}"),
        differ.is_none_or(|differ| differ == 0.0),
    );
    devices[0].unbind()?;
    devices[0].bind()?;
    let pages = agent
        .scrape()?
        .total("daxscope_struct_pages", &[("type", "generic")]);
    figures.equal(
        "struct pages that came up",
        devices[0].struct_pages(),
        pages,
    );
    Ok(())
}

fn nothing(figures: &mut Figures) -> Result<()> {
    let means = Means::Nothing;
    let told = check(figures, means, "auto", 1)?;
    let error = text(&told["error"]);
    names(figures, "check", error, "cap_bpf");
    names(figures, "check", error, "cap_perfmon");
    let told = list(figures, means)?;
    honest(figures, means, &told)?;
    refused(figures, means, "cap_bpf")
}

/// Programs may not read kernel memory then: nothing can be watched, and only sysfs tells of regions.
fn confidentiality(figures: &mut Figures, devices: &[Device]) -> Result<()> {
    host::lock_down("confidentiality")?;
    let told = check(figures, Means::All, "auto", 1)?;
    names(
        figures,
        "check",
        text(&told["error"]),
        "lockdown=confidentiality",
    );
    let lockdown = &told["privileges"]["lockdown"];
    figures.equal("lockdown", &Value::from("confidentiality"), lockdown);
    let told = list(figures, Means::All)?;
    let reason = text(&told["source_reason"]);
    figures.holds(&format!("a reason: {reason}"), !reason.is_empty());
    by_formula(figures, &told, devices)?;
    refused(figures, Means::All, "lockdown=confidentiality")
}
