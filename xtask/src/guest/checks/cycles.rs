//! A region that goes and comes many times: under one agent, and while agents start.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

use super::LISTEN;
use super::truth::{self, Known};
use crate::guest::agent::Agent;
use crate::guest::oracle::{self, Hits};
use crate::guest::region::{Device, GEOMETRIES, Map, Namespaces, Wanted};
use crate::guest::report::{Figures, Report};

const CYCLES: u64 = 200;
const STARTS: u64 = 2;

pub fn all(report: &mut Report, quick: bool) {
    report.check("cycles/under-one-agent", |figures| {
        under_one_agent(figures, if quick { CYCLES / 8 } else { CYCLES })
    });
    report.check("cycles/while-agents-start", while_agents_start);
}

/// One that stays, and one that goes and comes.
fn two_devices() -> Result<(Device, Device)> {
    let namespaces = Namespaces::find()?;
    let device = |n: usize| {
        Device::create(
            &namespaces.small[n],
            Wanted::devdax(GEOMETRIES[n], Map::Mem),
        )
    };
    Ok((device(0)?, device(1)?))
}

/// The kernel's own counters of calls, and the agent's.
fn under_one_agent(figures: &mut Figures, cycles: u64) -> Result<()> {
    let (stays, goes) = two_devices()?;
    let hits = Hits::watch(["memremap_pages", "memunmap_pages"])?;
    let agent = Agent::start(&[], LISTEN)?;
    let (before, scrape) = (hits.read()?, agent.scrape()?);
    for _ in 0..cycles {
        goes.unbind()?;
        goes.bind()?;
    }
    let (after, now) = (hits.read()?, agent.scrape()?);
    truth::compare(
        figures,
        &now,
        &[(&stays, Known::Before), (&goes, Known::Watched)],
    )?;
    let kernel = oracle::since(&after, &before);
    for symbol in ["memremap_pages", "memunmap_pages"] {
        let calls = kernel.get(symbol).copied().unwrap_or(0);
        figures.equal(&format!("{symbol} calls by the kernel"), cycles, calls);
    }
    let of = [("geometry", goes.geometry()?.name)];
    for name in [
        "daxscope_memremap_calls_total",
        "daxscope_memremap_duration_seconds_count",
        "daxscope_memunmap_duration_seconds_count",
    ] {
        let rose = now.total(name, &of) - scrape.total(name, &of);
        figures.equal(name, cycles, rose);
    }
    let of = [("map", "REGION_SPANS")];
    let in_flight = now.total("daxscope_map_entries", &of);
    figures.equal("calls in flight", 0, in_flight);
    figures.equal("lost", 0, now.total("daxscope_lost_total", &[]));
    drop(agent);
    stays.destroy()?;
    goes.destroy()
}

/// Whatever an agent saw of it while it attached and walked the kernel's list: it is counted once, and is gone once.
fn while_agents_start(figures: &mut Figures) -> Result<()> {
    let (stays, goes) = two_devices()?;
    for start in 1..=STARTS {
        let stop = AtomicBool::new(false);
        let (agent, cycles) = std::thread::scope(|scope| {
            let cycles = scope.spawn(|| goes.cycle_until(&stop));
            let agent = Agent::start(&[], LISTEN);
            stop.store(true, Ordering::Relaxed);
            (agent, cycles.join().expect("cycling does not panic"))
        });
        let (agent, cycles) = (agent?, cycles?);
        figures.holds(
            &format!("start {start}: {cycles} cycles meanwhile"),
            cycles > 0,
        );
        let scrape = agent.scrape()?;
        let name = goes.name();
        let watched = [("device", name.as_str()), ("source", "watched")];
        let known = match scrape.total("daxscope_pagemap_info", &watched) {
            0 => Known::Before,
            _ => Known::Watched,
        };
        truth::compare(figures, &scrape, &[(&stays, Known::Before), (&goes, known)])?;
        goes.unbind()?;
        truth::compare(figures, &agent.scrape()?, &[(&stays, Known::Before)])?;
        goes.bind()?;
        truth::compare(
            figures,
            &agent.scrape()?,
            &[(&stays, Known::Before), (&goes, Known::Watched)],
        )?;
    }
    stays.destroy()?;
    goes.destroy()
}
