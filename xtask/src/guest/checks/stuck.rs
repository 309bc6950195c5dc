//! A region that cannot go because a process keeps pins on it: that it waits, since when, and who keeps it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::LISTEN;
use super::listed::json;
use crate::guest::agent::Agent;
use crate::guest::pin::{Holder, Keep, hold};
use crate::guest::region::{Device, GEOMETRIES, Map, Namespaces, Wanted};
use crate::guest::report::{Figures, Report};
use crate::guest::scrape::Scrape;

const PAGES: u64 = 1000;
const PATIENCE: Duration = Duration::from_secs(20);
/// An age must show that it grows.
const MEANWHILE: Duration = Duration::from_secs(1);

pub fn all(report: &mut Report) {
    report.check("stuck/held-and-named", named);
}

fn named(figures: &mut Figures) -> Result<()> {
    let namespaces = Namespaces::find()?;
    let device = Device::create(
        &namespaces.small[0],
        Wanted::devdax(GEOMETRIES[1], Map::Mem),
    )?;
    let agent = Agent::start(&["--track-holders"], LISTEN)?;
    let before = agent.scrape()?;
    let holder = Holder::start(Keep::Xdp, &device.path, PAGES)?;
    told(figures, "held", &device, Some(&holder))?;

    // As an operator does it: ndctl waits in the kernel until the last pin is gone.
    std::thread::scope(|scope| {
        let destroying = scope.spawn(|| device.destroy());
        // Whatever goes wrong, the holder must let go, or the thread would never end.
        let seen = waiting(figures, &agent, &device, &holder);
        holder.release()?;
        let destroyed = destroying.join().expect("destroying does not panic");
        seen.and(destroyed)
    })?;
    let name = device.name();
    let after = gone(&agent, &name)?;
    figures.equal("pagemaps left", 0, after.total("daxscope_pagemaps", &[]));
    let of = [("geometry", device.geometry()?.name)];
    let duration = |scrape: &Scrape, end: &str| {
        let name = format!("daxscope_memunmap_duration_seconds_{end}");
        scrape.value(&name, &of).unwrap_or(0.0)
    };
    figures.equal(
        "unmaps with a duration",
        "1".to_owned(),
        (duration(&after, "count") - duration(&before, "count")).to_string(),
    );
    let took = duration(&after, "sum") - duration(&before, "sum");
    figures.holds(
        &format!("it took {took:.1} s, the wait included"),
        took >= MEANWHILE.as_secs_f64(),
    );
    told(figures, "gone", &device, None)
}

fn waiting(figures: &mut Figures, agent: &Agent, device: &Device, holder: &Holder) -> Result<()> {
    let name = device.name();
    let of = [("device", name.as_str())];
    let deadline = Instant::now() + PATIENCE;
    let age = loop {
        let scrape = agent.scrape()?;
        if scrape.value("daxscope_memunmap_in_progress", &of) == Some(1.0) {
            break scrape.value("daxscope_memunmap_age_seconds", &of);
        }
        ensure!(
            Instant::now() < deadline,
            "{name} is not shown as being unmapped after {PATIENCE:?}"
        );
        sleep(Duration::from_millis(100));
    };
    sleep(MEANWHILE);
    let scrape = agent.scrape()?;
    let later = scrape.value("daxscope_memunmap_age_seconds", &of);
    let (age, later) = age.zip(later).context("no age")?;
    figures.holds(
        &format!("it waits for {age:.1} s, and {later:.1} s later on"),
        later - age >= MEANWHILE.as_secs_f64() / 2.0,
    );
    // What waits to go still costs its memory.
    figures.equal(
        "struct pages while it waits",
        device.struct_pages(),
        scrape.total("daxscope_pagemap_struct_pages", &of),
    );
    let pinned = scrape.value("daxscope_pagemap_pinned_pages", &of);
    #[expect(clippy::cast_precision_loss, reason = "a thousand pages")]
    let expected = format!("{:?}", Some(PAGES as f64));
    figures.equal("pinned pages", expected, format!("{pinned:?}"));
    told(figures, "waiting", device, Some(holder))
}

/// Who holds the device, as `daxscope holders` tells it: this process alone, or nobody.
fn told(figures: &mut Figures, when: &str, device: &Device, holder: Option<&Holder>) -> Result<()> {
    let (_, told) = json(&["holders", "--json"])?;
    figures.equal_quietly(
        &format!("{when}: tracked"),
        &Value::from(true),
        &told["tracked"],
    );
    let name = device.name();
    let devices = told["devices"].as_array().into_iter().flatten();
    let of_device = devices
        .into_iter()
        .find(|found| found["device"].as_str() == Some(&name));
    let none = Vec::new();
    let holds = of_device
        .and_then(|found| found["holds"].as_array())
        .unwrap_or(&none);
    let Some(holder) = holder else {
        figures.equal(&format!("{when}: holders"), 0, holds.len());
        return Ok(());
    };
    figures.equal(&format!("{when}: holders of {name}"), 1, holds.len());
    let Some(held) = holds.first() else {
        return Ok(());
    };
    for (key, expected) in [
        ("process", Value::from(hold::COMM)),
        ("pid", Value::from(holder.pid())),
        ("pages", Value::from(PAGES)),
        ("entry", Value::from("pin_user_pages")),
    ] {
        figures.equal(&format!("{when}: {key}"), &expected, &held[key]);
    }
    // The kernel's own name of who pins packet memory (`net/xdp/xdp_umem.c`); it may be inlined into its callers.
    let caller = held["caller"].as_str().unwrap_or_default();
    figures.holds(
        &format!("{when}: caller {caller:?} is of AF_XDP"),
        caller.contains("xdp") || caller.contains("xsk"),
    );
    Ok(())
}

fn gone(agent: &Agent, name: &str) -> Result<Scrape> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let scrape = agent.scrape()?;
        let of = [("device", name)];
        let left = scrape.series("daxscope_memunmap_in_progress", &of).count();
        if left == 0 {
            return Ok(scrape);
        }
        ensure!(
            Instant::now() < deadline,
            "{name} is still shown after it has gone"
        );
        sleep(Duration::from_millis(100));
    }
}
