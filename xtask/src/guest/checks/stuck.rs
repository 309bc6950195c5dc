//! Who keeps pins on a region, and a region that goes: that it is going, since when, and how long it took.
//!
//! Up to 5.17 `memunmap_pages` waits for the last pin. From 27674ef6c73f (5.18) on it waits for none on device-dax: it takes
//! the struct pages away, and the kernel crashes when the holder lets go. Measured without any agent on 6.1, 6.12 and 7.3:
//! `unable to handle page fault` in `unpin_user_pages_dirty_lock`. So nothing is destroyed under a holder there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::LISTEN;
use super::listed::json;
use crate::guest::agent::Agent;
use crate::guest::oracle::{self, FollPin};
use crate::guest::pin::{Holder, Keep, hold};
use crate::guest::region::{Device, GEOMETRIES, Map, Namespaces, Wanted};
use crate::guest::report::{Figures, Report};
use crate::guest::scrape::Scrape;

const PAGES: u64 = 1000;
const PATIENCE: Duration = Duration::from_secs(20);
/// An age must show that it grows.
const MEANWHILE: Duration = Duration::from_secs(1);
const MOST_SCRAPES: u32 = 2000;

pub fn all(report: &mut Report) {
    report.check("stuck/held-and-named", named);
    report.check("stuck/going-is-shown", going);
}

/// Taking down a few GiB of base pages takes long enough for a scrape to see it, if not the first time.
fn going(figures: &mut Figures) -> Result<()> {
    let namespaces = Namespaces::find()?;
    let large = namespaces.by_geometry()[2];
    let device = Device::create(large, Wanted::devdax(GEOMETRIES[0], Map::Mem))?;
    let agent = Agent::start(&[], LISTEN)?;
    let name = device.name();
    let of = [("device", name.as_str())];
    let stop = AtomicBool::new(false);
    let (scrapes, age) = std::thread::scope(|scope| {
        let cycling = scope.spawn(|| device.cycle_until(&stop));
        let seen = (1..=MOST_SCRAPES).find_map(|number| {
            let scrape = agent.scrape().ok()?;
            let going = scrape.value("daxscope_memunmap_in_progress", &of) == Some(1.0);
            going.then(|| (number, scrape.value("daxscope_memunmap_age_seconds", &of)))
        });
        stop.store(true, Ordering::Relaxed);
        cycling.join().expect("cycling does not panic")?;
        seen.context("no scrape saw it go")
    })?;
    figures.holds(
        &format!("scrape {scrapes} saw it go, for {age:?} s"),
        age.is_some_and(|age| age > 0.0 && age < PATIENCE.as_secs_f64()),
    );
    let after = agent.scrape()?;
    let left = after.value("daxscope_memunmap_in_progress", &of);
    figures.equal(
        "going in the end",
        "Some(0.0)".to_owned(),
        format!("{left:?}"),
    );
    drop(agent);
    device.destroy()
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

    if oracle::has_vmemmap_shift()? {
        // 5.17 has the field and still waits; it is in no Debian suite.
        figures.note("this kernel does not wait for pins: they are given back first");
        holder.release()?;
        settled(figures, &device)?;
        device.destroy()?;
        let after = gone(&agent, &device.name())?;
        return ended(figures, &device, &before, &after).map(drop);
    }
    // As an operator does it: ndctl waits in the kernel until the last pin is gone.
    std::thread::scope(|scope| {
        let destroying = scope.spawn(|| device.destroy());
        // Whatever goes wrong, the holder must let go, or the thread would never end.
        let seen = waiting(figures, &agent, &device, &holder);
        holder.release()?;
        let destroyed = destroying.join().expect("destroying does not panic");
        seen.and(destroyed)
    })?;
    let after = gone(&agent, &device.name())?;
    let took = ended(figures, &device, &before, &after)?;
    figures.holds(
        &format!("it took {took:.1} s, the wait included"),
        took >= MEANWHILE.as_secs_f64(),
    );
    told(figures, "gone", &device, None)
}

/// Returns for how long it was being taken down, in seconds.
fn ended(figures: &mut Figures, device: &Device, before: &Scrape, after: &Scrape) -> Result<f64> {
    figures.equal("pagemaps left", 0, after.total("daxscope_pagemaps", &[]));
    let of = [("geometry", device.geometry()?.name)];
    let rose = |end: &str| {
        let name = format!("daxscope_memunmap_duration_seconds_{end}");
        let value = |scrape: &Scrape| scrape.value(&name, &of).unwrap_or(0.0);
        value(after) - value(before)
    };
    let count = rose("count").to_string();
    figures.equal("unmaps with a duration", "1".to_owned(), count);
    Ok(rose("sum"))
}

/// The socket gives its pins back from a worker.
fn settled(figures: &mut Figures, device: &Device) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let pins = FollPin::read()?;
        if pins.acquired == pins.released {
            return told(figures, "given back", device, None);
        }
        ensure!(
            Instant::now() < deadline,
            "pins are kept after {PATIENCE:?}"
        );
        sleep(Duration::from_millis(100));
    }
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
        ("entry", Value::from("pin slow")),
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
