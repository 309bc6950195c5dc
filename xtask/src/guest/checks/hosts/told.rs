//! What the agent says on such a host, taken apart.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::guest::agent::{self, Agent};
use crate::guest::host::Means;
use crate::guest::region::{Device, PAGE};
use crate::guest::report::Figures;
use crate::guest::scrape::Scrape;

use super::super::LISTEN;

pub fn check(figures: &mut Figures, means: Means, mechanism: &str, expected: i32) -> Result<Value> {
    let (code, told) = check_any(means, mechanism)?;
    figures.equal(&format!("check by {mechanism} exits"), expected, code);
    Ok(told)
}

pub fn check_any(means: Means, mechanism: &str) -> Result<(i32, Value)> {
    json(means, &["check", "--json", "--mechanism", mechanism])
}

pub fn list(figures: &mut Figures, means: Means) -> Result<Value> {
    let (code, told) = json(means, &["list", "--json"])?;
    figures.equal("list exits", 3, code);
    figures.equal("list's source", "sysfs", text(&told["source"]));
    Ok(told)
}

pub fn json(means: Means, words: &[&str]) -> Result<(i32, Value)> {
    let output = agent::run_with(means, words)?;
    let code = output.status.code().context("killed by a signal")?;
    let told = serde_json::from_slice(&output.stdout).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("{words:?} exits {code} and prints no JSON: {said}")
    })?;
    Ok((code, told))
}

/// Who cannot see regions must not say that there are none.
pub fn honest(figures: &mut Figures, means: Means, told: &Value) -> Result<()> {
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
pub fn refused(figures: &mut Figures, means: Means, word: &str) -> Result<()> {
    let mut agent = Agent::spawn(means, &[], LISTEN)?;
    let code = agent.wait()?.code();
    figures.equal("run exits", "Some(1)".to_owned(), format!("{code:?}"));
    names(figures, "run", &agent.last_words(), word);
    Ok(())
}

pub fn by_formula(figures: &mut Figures, told: &Value, devices: &[Device]) -> Result<()> {
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
pub fn gauges(figures: &mut Figures, scrape: &Scrape, devices: &[Device]) -> Result<()> {
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
pub fn unmeasured(figures: &mut Figures, scrape: &Scrape, devices: &[Device]) {
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

pub fn source(figures: &mut Figures, scrape: &Scrape, word: &str) {
    let found: Vec<_> = scrape.series("daxscope_inventory_info", &[]).collect();
    figures.equal("inventory sources", 1, found.len());
    if let Some((labels, _)) = found.first() {
        let label = |key: &str| labels.get(key).map_or("", String::as_str);
        figures.equal("inventory source", "sysfs", label("source"));
        names(figures, "inventory", label("reason"), word);
    }
}

/// Of any probe: which one the kernel refuses with which errno depends on how far it let it come.
pub fn remedy(figures: &mut Figures, told: &Value, word: &str) {
    let probes = told["probes"].as_array().into_iter().flatten();
    let remedies: Vec<&str> = probes.map(|probe| text(&probe["remedy"])).collect();
    let said = remedies.iter().find(|said| !said.is_empty());
    names(figures, "check on remedies", said.unwrap_or(&""), word);
}

pub fn all_required(figures: &mut Figures, told: &Value) {
    for probe in told["probes"].as_array().into_iter().flatten() {
        figures.holds_quietly(
            &format!("{} is missing: {}", probe["probe"], probe["reason"]),
            probe["attached"] == true || probe["required"] == false,
        );
    }
}

pub fn attached_by(figures: &mut Figures, told: &Value, mechanism: &str) {
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

pub fn pagemap<'a>(told: &'a Value, device: &Device) -> Result<&'a Value> {
    let name = device.name();
    let pagemaps = told["pagemaps"].as_array().into_iter().flatten();
    let found = pagemaps
        .into_iter()
        .find(|found| text(&found["device"]) == name);
    found.with_context(|| format!("list does not show {name}"))
}

pub fn same(
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
pub fn names(figures: &mut Figures, who: &str, said: &str, word: &str) {
    figures.holds(
        &format!("{who} names {word}: {said:?}"),
        said.to_lowercase().contains(word),
    );
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
