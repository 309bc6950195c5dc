//! Hosts that let the agent see less: it shows what it can, and says what it cannot and why. Nothing is silently missing,
//! and nothing is made up.

use anyhow::{Context, Result};
use serde_json::Value;

use super::LISTEN;
use crate::guest::agent::{self, Agent};
use crate::guest::host::{self, Means, Sysctl};
use crate::guest::region::{Device, GEOMETRIES, Map, Mode, Namespaces, PAGE, Wanted};
use crate::guest::report::{Figures, Report};
use crate::guest::scrape::Scrape;

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
    Ok(())
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
    remedy(figures, &told, "lockdown=confidentiality");
    let lockdown = &told["privileges"]["lockdown"];
    figures.equal("lockdown", &Value::from("confidentiality"), lockdown);
    let told = list(figures, Means::All)?;
    let reason = text(&told["source_reason"]);
    figures.holds(&format!("a reason: {reason}"), !reason.is_empty());
    by_formula(figures, &told, devices)?;
    refused(figures, Means::All, "lockdown=confidentiality")
}

fn check(figures: &mut Figures, means: Means, mechanism: &str, expected: i32) -> Result<Value> {
    let (code, told) = check_any(means, mechanism)?;
    figures.equal(&format!("check by {mechanism} exits"), expected, code);
    Ok(told)
}

fn check_any(means: Means, mechanism: &str) -> Result<(i32, Value)> {
    json(means, &["check", "--json", "--mechanism", mechanism])
}

fn list(figures: &mut Figures, means: Means) -> Result<Value> {
    let (code, told) = json(means, &["list", "--json"])?;
    figures.equal("list exits", 3, code);
    figures.equal("list's source", "sysfs", text(&told["source"]));
    Ok(told)
}

fn json(means: Means, words: &[&str]) -> Result<(i32, Value)> {
    let output = agent::run_with(means, words)?;
    let code = output.status.code().context("killed by a signal")?;
    let told = serde_json::from_slice(&output.stdout).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("{words:?} exits {code} and prints no JSON: {said}")
    })?;
    Ok((code, told))
}

/// Who cannot see regions must not say that there are none.
fn honest(figures: &mut Figures, means: Means, told: &Value) -> Result<()> {
    let count = |key: &str| told[key].as_array().map_or(0, Vec::len);
    let (shown, skipped) = (count("pagemaps"), count("skipped"));
    figures.holds(
        &format!("{shown} pagemaps are shown, {skipped} are said to be left out"),
        shown + skipped >= 2,
    );
    let output = agent::run_with(means, &["list"])?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = said.lines().next().unwrap_or_default();
    figures.holds(
        &format!("list does not deny what it cannot see: {first:?}"),
        shown > 0 || !first.contains("has no memory"),
    );
    Ok(())
}

/// `run` ends at once, and says why.
fn refused(figures: &mut Figures, means: Means, word: &str) -> Result<()> {
    let mut agent = Agent::spawn(means, &[], LISTEN)?;
    let code = agent.wait()?.code();
    figures.equal("run exits", "Some(1)".to_owned(), format!("{code:?}"));
    names(figures, "run", &agent.last_words(), word);
    Ok(())
}

fn by_formula(figures: &mut Figures, told: &Value, devices: &[Device]) -> Result<()> {
    for device in devices {
        let found = pagemap(told, device)?;
        let account = device.account()?;
        same(
            figures,
            device,
            found,
            "struct_pages",
            device.struct_pages(),
        );
        same(figures, device, found, "geometry", device.geometry()?.name);
        same(figures, device, found, "used_method", "formula");
        for (key, pages) in [
            ("ram_bytes", account.ram),
            ("device_bytes", account.device),
            ("tables_bytes", account.tables),
        ] {
            let what = format!("{} used {key}", device.name());
            figures.equal_quietly(&what, &Value::from(pages * PAGE), &found["used"][key]);
        }
    }
    Ok(())
}

/// From the first scrape on, each geometry and type.
fn gauges(figures: &mut Figures, scrape: &Scrape, devices: &[Device]) -> Result<()> {
    for device in devices {
        let of = [
            ("geometry", device.geometry()?.name),
            ("type", device.wanted.kind()),
        ];
        figures.equal(
            &format!("struct pages of {}", device.name()),
            device.struct_pages(),
            scrape.total("daxscope_struct_pages", &of),
        );
    }
    figures.equal(
        "pagemaps",
        devices.len() as u64,
        scrape.total("daxscope_pagemaps", &[]),
    );
    Ok(())
}

/// What is not measured is not there, and has a reason.
fn unmeasured(figures: &mut Figures, scrape: &Scrape, devices: &[Device]) {
    let measured = [("method", "measured")];
    let series = scrape.series("daxscope_pagemap_vmemmap_bytes", &measured);
    figures.equal("measured series", 0, series.count());
    for device in devices {
        let name = device.name();
        let of = [("device", name.as_str())];
        let reasons: Vec<&str> = scrape
            .series("daxscope_pagemap_unmeasured", &of)
            .filter_map(|(labels, _)| labels.get("reason").map(String::as_str))
            .collect();
        let one = matches!(reasons[..], [reason] if !reason.is_empty());
        figures.holds(&format!("{name} is unmeasured: {reasons:?}"), one);
    }
}

fn source(figures: &mut Figures, scrape: &Scrape, word: &str) {
    let found: Vec<_> = scrape.series("daxscope_inventory_info", &[]).collect();
    figures.equal("inventory sources", 1, found.len());
    if let Some((labels, _)) = found.first() {
        let label = |key: &str| labels.get(key).map_or("", String::as_str);
        figures.equal("inventory source", "sysfs", label("source"));
        names(figures, "inventory", label("reason"), word);
    }
}

/// Of any probe: which one the kernel refuses with which errno depends on how far it let it come.
fn remedy(figures: &mut Figures, told: &Value, word: &str) {
    let probes = told["probes"].as_array().into_iter().flatten();
    let remedies: Vec<&str> = probes.map(|probe| text(&probe["remedy"])).collect();
    let said = remedies.iter().find(|said| !said.is_empty());
    names(figures, "check on remedies", said.unwrap_or(&""), word);
}

fn all_required(figures: &mut Figures, told: &Value) {
    for probe in told["probes"].as_array().into_iter().flatten() {
        figures.holds_quietly(
            &format!("{} is missing: {}", probe["probe"], probe["reason"]),
            probe["attached"] == true || probe["required"] == false,
        );
    }
}

fn attached_by(figures: &mut Figures, told: &Value, mechanism: &str) {
    let probes = told["probes"].as_array().map_or(&[][..], Vec::as_slice);
    let attached: Vec<&str> = probes
        .iter()
        .filter(|probe| probe["attached"] == true)
        .map(|probe| text(&probe["mechanism"]))
        .collect();
    figures.holds(
        &format!("{} probes attached, all by {mechanism}", attached.len()),
        attached.len() > 10 && attached.iter().all(|by| *by == mechanism),
    );
}

fn pagemap<'a>(told: &'a Value, device: &Device) -> Result<&'a Value> {
    let name = device.name();
    let pagemaps = told["pagemaps"].as_array().into_iter().flatten();
    let found = pagemaps
        .into_iter()
        .find(|found| text(&found["device"]) == name);
    found.with_context(|| format!("list does not show {name}"))
}

fn same(
    figures: &mut Figures,
    device: &Device,
    found: &Value,
    key: &str,
    expected: impl Into<Value>,
) {
    let what = format!("{} {key}", device.name());
    figures.equal(&what, &expected.into(), &found[key]);
}

/// Whatever is missing is named, whatever the case of its letters.
fn names(figures: &mut Figures, who: &str, said: &str, word: &str) {
    figures.holds(
        &format!("{who} names {word}: {said:?}"),
        said.to_lowercase().contains(word),
    );
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
