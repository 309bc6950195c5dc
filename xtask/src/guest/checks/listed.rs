//! `daxscope list` and `daxscope advise`, beside a daemon: as right as it, and without a trace in it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::guest::agent::{self, Agent};
use crate::guest::objects;
use crate::guest::region::{Account, Device, PAGE};
use crate::guest::report::Figures;

/// What a verb prints as JSON; 0 and 3 (not all could be told) are its good exit codes.
pub fn json(words: &[&str]) -> Result<(i32, Value)> {
    let output = agent::run(words)?;
    let code = output.status.code().context("killed by a signal")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!([0, 3].contains(&code), "{words:?} exits {code}: {said}");
    let told = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{words:?} exits {code} and prints no JSON: {said}"))?;
    Ok((code, told))
}

/// These devices and no other, all measured, whenever they came up.
pub fn compare(figures: &mut Figures, devices: &[&Device]) -> Result<()> {
    let (code, told) = json(&["list", "--json"])?;
    figures.equal("list exits", 0, code);
    let empty = Vec::new();
    let pagemaps = told["pagemaps"].as_array().unwrap_or(&empty);
    figures.equal("list shows pagemaps", devices.len(), pagemaps.len());
    for device in devices {
        let name = device.name();
        let found = pagemaps
            .iter()
            .find(|pagemap| pagemap["device"].as_str() == Some(&name));
        let Some(found) = found else {
            figures.holds(&format!("list shows {name}"), false);
            continue;
        };
        let account = device.account()?;
        for (key, expected) in [
            ("struct_pages", Value::from(device.struct_pages())),
            ("geometry", Value::from(device.geometry()?.name)),
            ("type", Value::from(device.wanted.kind())),
            ("namespace", Value::from(device.namespace.as_str())),
            ("size_bytes", Value::from(device.bytes)),
            ("deduplicated", Value::from(account.deduplicated)),
            ("disagreement_bytes", Value::from(0)),
            ("used_method", Value::from("measured")),
        ] {
            figures.equal_quietly(&format!("list: {name} {key}"), &expected, &found[key]);
        }
        measured(figures, &name, account, &found["measured"]);
    }
    let count = &told["kernel_counts"]["nr_memmap_pages"]["difference_pages"];
    if !count.is_null() {
        figures.equal("list: nr_memmap_pages less ours", &Value::from(0), count);
    }
    Ok(())
}

pub fn measured(figures: &mut Figures, name: &str, account: Account, found: &Value) {
    for (key, pages) in [
        ("ram_bytes", account.ram),
        ("device_bytes", account.device),
        ("tables_bytes", account.tables),
    ] {
        figures.equal_quietly(
            &format!("list: {name} measured {key}"),
            &Value::from(pages * PAGE),
            &found[key],
        );
    }
}

/// A daemon is as it was after somebody has listed beside it.
pub fn beside(figures: &mut Figures, agent: &Agent, devices: &[&Device]) -> Result<()> {
    let state = || -> Result<_> {
        let scrape = agent.scrape()?;
        let still = |line: &&str| {
            // No list touches these. GUP counters are of all processes, starting one included.
            [
                "daxscope_pagemap",
                "daxscope_struct_pages",
                "daxscope_mem",
                "daxscope_lost",
                "daxscope_inventory",
            ]
            .iter()
            .any(|name| line.starts_with(name))
        };
        let lines: Vec<String> = scrape
            .text
            .lines()
            .filter(still)
            .map(str::to_owned)
            .collect();
        Ok((lines, objects::names()?))
    };
    let before = state()?;
    compare(figures, devices)?;
    let after = state()?;
    figures.holds("a daemon's figures are as before list", before.0 == after.0);
    figures.equal(
        "programs in the kernel after list",
        format!("{:?}", before.1),
        format!("{:?}", after.1),
    );
    Ok(())
}
