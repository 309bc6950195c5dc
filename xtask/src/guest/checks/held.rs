//! Pins that are kept: how many each device has outstanding, whoever took them and when, against the kernel's counters.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::LISTEN;
use crate::guest::agent::Agent;
use crate::guest::oracle::FollPin;
use crate::guest::pin::{self, By, Holder, Keep, Memory, Plan};
use crate::guest::region::{Device, GEOMETRIES, Map, Namespaces, Wanted};
use crate::guest::report::{Figures, Report};
use crate::guest::scrape::Scrape;

const PAGES: u64 = 1000;
const OUTSTANDING: &str = "daxscope_pagemap_pinned_pages";
const LONGTERM: &str = "daxscope_gup_longterm_calls_total";
/// An `AF_XDP` socket gives its pins back from a worker.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn all(report: &mut Report) {
    report.check("held/outstanding", outstanding);
}

fn outstanding(figures: &mut Figures) -> Result<()> {
    let namespaces = Namespaces::find()?;
    let [base, compound, large] = namespaces.by_geometry();
    let make = |namespace, geometry| {
        Device::create(namespace, Wanted::devdax(GEOMETRIES[geometry], Map::Mem))
    };
    let devices = [make(base, 0)?, make(compound, 1)?, make(large, 2)?];
    let nobody = FollPin::read()?;
    let before = Holder::start(Keep::Xdp, &devices[1].path, PAGES)?;
    let taken = kept(nobody)?;
    figures.equal("pages kept before the agent, by the kernel", PAGES, taken);

    let agent = Agent::start(&[], LISTEN)?;
    let first = agent.scrape()?;
    each(figures, "at the start", &first, &devices, [0, taken, 0])?;

    // One registration after the other, each counted once as long-term and once as outstanding.
    let mut holders = Vec::new();
    let mut expected = [0, taken, 0];
    let mut registrations = 0;
    for (at, device) in devices.iter().enumerate() {
        for by in [Keep::Xdp, Keep::IoUring] {
            let before = kept(nobody)?;
            // One that is refused was a request all the same: its pages are pinned first, then given back.
            registrations += 1;
            let Ok(holder) = Holder::start(by, &device.path, PAGES + at as u64) else {
                // 5.10 and 6.1 refuse io_uring buffers of device-dax memory; `pins` asserts the errno.
                figures.note(format!("{by:?} is refused"));
                continue;
            };
            // io_uring gives back all but one pin of each compound page.
            expected[at] += kept(nobody)? - before;
            holders.push(holder);
        }
    }
    short(&devices[0])?;
    let now = agent.scrape()?;
    each(figures, "held", &now, &devices, expected)?;
    figures.equal(
        "long-term requests",
        registrations,
        now.total(LONGTERM, &[]) - first.total(LONGTERM, &[]),
    );

    before.release()?;
    for holder in holders {
        holder.release()?;
    }
    let left = settled(nobody)?;
    figures.equal("pages kept in the end, by the kernel", 0, left);
    let last = agent.scrape()?;
    each(figures, "given back", &last, &devices, [0, 0, 0])?;
    drop(agent);
    devices.iter().try_for_each(Device::destroy)
}

/// Requests that keep nothing.
fn short(device: &Device) -> Result<()> {
    let memory = Memory::device(&device.path, device.asked.bytes, 64)?;
    let plan = Plan {
        by: By::ProcessVmReadv,
        per_call: 16,
        calls: 10,
        threads: 1,
    };
    pin::run(&[plan], &memory, || Ok(())).map(drop)
}

fn each(
    figures: &mut Figures,
    when: &str,
    scrape: &Scrape,
    devices: &[Device],
    expected: [u64; 3],
) -> Result<()> {
    for (device, expected) in devices.iter().zip(expected) {
        let name = device.name();
        let value = scrape
            .value(OUTSTANDING, &[("device", &name)])
            .with_context(|| format!("{when}: no {OUTSTANDING} of {name}"))?;
        let what = format!("{when}: pinned pages of {name} ({})", device.wanted);
        figures.equal(&what, expected.to_string(), value.to_string());
    }
    Ok(())
}

/// Pins that the kernel has counted in and not yet out.
fn kept(nobody: FollPin) -> Result<u64> {
    let now = FollPin::read()?.since(nobody);
    Ok(now.acquired - now.released)
}

fn settled(nobody: FollPin) -> Result<u64> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = kept(nobody)?;
        if left == 0 || Instant::now() > deadline {
            return Ok(left);
        }
        sleep(Duration::from_millis(100));
    }
}
