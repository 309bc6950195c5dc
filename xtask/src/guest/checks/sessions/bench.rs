//! `daxscope bench`: as many pages as it says, pinned and given back, and nothing of a device that somebody else has.

use anyhow::{Context, Result};
use serde_json::Value;

use super::workload::Ground;
use crate::guest::agent;
use crate::guest::oracle::FollPin;
use crate::guest::pin::{Holder, Keep};
use crate::guest::region::PAGE;
use crate::guest::report::Figures;

/// Of which it goes over so much, so often.
const SIZE: (u64, &str) = (64 << 20, "64M");
const PASSES: (u64, &str) = (2, "2");
const BATCH: (u64, &str) = (100, "100");
/// What may be pinned at once by each of its ways; pages.
const MOST: [(&str, u64); 4] = [
    ("process_vm_readv", 1024),
    ("io_uring", 1024),
    ("O_DIRECT", 256),
    ("vmsplice", 16),
];

pub fn all(figures: &mut Figures, ground: &Ground) -> Result<()> {
    let device = &ground.devices[1];
    let (name, geometry) = (device.name(), device.geometry()?.name);
    let words = [
        "bench", &name, "--size", SIZE.1, "--passes", PASSES.1, "--batch", BATCH.1,
    ];
    let more = ["--writable", "--sink", "/dev/nullb0", "--json"];
    let before = FollPin::read()?;
    let output = agent::run(&[&words[..], &more].concat())?;
    let pinned = FollPin::read()?.since(before);
    let told: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;

    // 5.10 and 6.1 refuse io_uring buffers of device memory; `pins` asserts the errno.
    let refused = u64::from(!ground.ring_takes_devices);
    let not_done = told["not_done"].as_array().context("no list")?;
    figures.equal(
        &format!("not done: {not_done:?}"),
        refused,
        not_done.len() as u64,
    );
    let status = if refused == 0 { 0 } else { 3 };
    figures.equal("exit code", status, output.status.code().unwrap_or(-1));
    let pages = SIZE.0 / PAGE;
    // Its trial of each way was not watched.
    let mut trials = 0;
    let mut pins = 0;
    for row in told["rows"].as_array().context("no rows")? {
        let by = row["by"].as_str().unwrap_or_default();
        let most = MOST
            .iter()
            .find(|(way, _)| *way == by)
            .context("a new way")?;
        let batch = most.1.min(BATCH.0);
        figures.equal(&format!("{by}: lost"), "[]", &row["lost"].to_string());
        figures.equal(
            &format!("{by}: geometry"),
            geometry,
            row["geometry"].as_str().unwrap_or_default(),
        );
        let number = |side: &str, what: &str| row[side][what].as_u64().unwrap_or(0);
        figures.equal(
            &format!("{by}: pages"),
            PASSES.0 * pages,
            number("pin", "pages"),
        );
        let calls = PASSES.0 * pages.div_ceil(batch);
        figures.equal(&format!("{by}: calls"), calls, number("pin", "calls"));
        if row["pin"]["how"] == "pin" {
            figures.equal(
                &format!("{by}: given back"),
                PASSES.0 * pages,
                number("unpin", "pages"),
            );
            pins += PASSES.0 * pages;
            trials += batch;
        }
    }
    if refused == 0 {
        // Beyond that: what a long-term pin takes on the fast path, where it may not have it.
        figures.holds(
            &format!(
                "the kernel counts {} of {pins} and {trials}",
                pinned.acquired
            ),
            pinned.acquired >= pins + trials,
        );
    }
    figures.equal(
        "given back, by the kernel",
        pinned.acquired,
        pinned.released,
    );
    refusals(figures, ground)
}

fn refusals(figures: &mut Figures, ground: &Ground) -> Result<()> {
    let device = &ground.devices[1];
    let name = device.name();
    let mut refused = |wanted: &str, word: &str| -> Result<()> {
        let output = agent::run(&["bench", wanted])?;
        let said = String::from_utf8_lossy(&output.stderr);
        figures.equal(
            &format!("bench {wanted}: exit code"),
            1,
            output.status.code().unwrap_or(-1),
        );
        figures.holds(&format!("it says {word:?}: {said}"), said.contains(word));
        Ok(())
    };
    let holder = Holder::start(Keep::Xdp, &device.path, 1)?;
    refused(&name, &format!("pid {}", holder.pid()))?;
    holder.release()?;
    refused("dax99.0", "sysfs has")
}
