//! Regions of every kind that were there before the agent, or came up under it: who finds them, and what they take.

use anyhow::Result;

use super::truth::{self, Known};
use super::{LISTEN, listed};
use crate::guest::agent::Agent;
use crate::guest::objects;
use crate::guest::oracle::Blocks;
use crate::guest::region::{Device, GEOMETRIES, Map, Mode, Namespaces, PAGE, SECTION, Wanted};
use crate::guest::report::{Figures, Report};

/// A region to make: of a size that is usual for its geometry, or of an odd one.
#[derive(Clone, Copy)]
struct Case {
    wanted: Wanted,
    odd: bool,
}

impl Case {
    /// {devdax of 4K, 2M, 1G; fsdax} × {map=mem, map=dev} × two sizes. ndctl refuses odd sizes for 1G: there the second
    /// is another number of GiB.
    fn all() -> Vec<Case> {
        let modes: Vec<Mode> = GEOMETRIES.map(Mode::Devdax).into();
        let mut cases = Vec::new();
        for map in [Map::Mem, Map::Dev] {
            for odd in [false, true] {
                for mode in modes.iter().copied().chain([Mode::Fsdax]) {
                    let wanted = Wanted { mode, map };
                    cases.push(Case { wanted, odd });
                }
            }
        }
        cases
    }

    fn place(self, free: &mut Namespaces) -> Option<String> {
        let from = match (self.wanted.mode, self.odd) {
            (Mode::Devdax(geometry), _) if geometry == GEOMETRIES[2] => &mut free.large,
            (_, true) => &mut free.odd,
            (_, false) => &mut free.small,
        };
        from.pop()
    }
}

/// As many cases at a time as there are namespaces for.
pub fn all(report: &mut Report) {
    let mut left = Case::all();
    for round in 1.. {
        if left.is_empty() {
            return;
        }
        let before = left.len();
        report.check(&format!("inventory/round-{round}"), |figures| {
            one(figures, &mut left)
        });
        if left.len() == before {
            // The check has failed and said why.
            return;
        }
    }
}

fn one(figures: &mut Figures, left: &mut Vec<Case>) -> Result<()> {
    let mut free = Namespaces::find()?;
    let blocks = Blocks::watch()?;
    let mut devices = Vec::new();
    let mut rest = Vec::new();
    for case in left.drain(..) {
        match case.place(&mut free) {
            Some(namespace) => {
                let device = made(figures, &namespace, case.wanted, &devices, blocks.as_ref())?;
                devices.push(device);
            }
            None => rest.push(case),
        }
    }
    *left = rest;
    drop(blocks);
    let before: Vec<_> = devices
        .iter()
        .map(|device| (device, Known::Before))
        .collect();

    let agent = Agent::start(&[], LISTEN)?;
    truth::compare(figures, &agent.scrape()?, &before)?;
    reader_is_gone(figures)?;

    // The same devices go and come under the agent: every second one first, so that old and new stand side by side.
    let (first, second): (Vec<_>, Vec<_>) = devices
        .iter()
        .enumerate()
        .partition(|(number, _)| number % 2 == 0);
    for (_, device) in &first {
        device.unbind()?;
    }
    let kept: Vec<_> = second
        .iter()
        .map(|(_, device)| (*device, Known::Before))
        .collect();
    truth::compare(figures, &agent.scrape()?, &kept)?;
    for (_, device) in &first {
        device.bind()?;
    }
    let mixed: Vec<_> = devices
        .iter()
        .enumerate()
        .map(|(number, device)| match number % 2 {
            0 => (device, Known::Watched),
            _ => (device, Known::Before),
        })
        .collect();
    truth::compare(figures, &agent.scrape()?, &mixed)?;
    listed::beside(figures, &agent, &devices.iter().collect::<Vec<_>>())?;

    // Another agent finds all of them as its own first one did.
    drop(agent);
    let agent = Agent::start(&[], LISTEN)?;
    truth::compare(figures, &agent.scrape()?, &before)?;
    for device in &devices {
        device.destroy()?;
    }
    truth::compare(figures, &agent.scrape()?, &[])
}

/// The program that reads kernel memory on request is for the start alone.
fn reader_is_gone(figures: &mut Figures) -> Result<()> {
    let names = objects::names()?;
    figures.holds_quietly(&format!("programs are loaded: {names:?}"), names.len() > 1);
    figures.equal(
        "programs named reader while the agent serves",
        0,
        names.get("reader").copied().unwrap_or(0),
    );
    Ok(())
}

/// What the kernel asked for while it was made is what the arithmetic has.
fn made(
    figures: &mut Figures,
    namespace: &str,
    wanted: Wanted,
    others: &[Device],
    blocks: Option<&Blocks>,
) -> Result<Device> {
    if let Some(blocks) = blocks {
        blocks.bytes()?;
    }
    let device = Device::create(namespace, wanted)?;
    if let Some(blocks) = blocks {
        let account = device.account()?;
        // Where two regions meet inside of a section, one page table serves both.
        let meets = |other: &&Device| {
            other.start / SECTION <= device.start / SECTION
                && (other.start + other.bytes - 1) / SECTION >= device.start / SECTION
        };
        let shared = others.iter().filter(meets).count() as u64;
        figures.equal_quietly(
            &format!("{wanted} of {} bytes, vmemmap_alloc_block", device.bytes),
            (account.ram + account.tables - shared) * PAGE,
            blocks.bytes()?,
        );
    }
    Ok(device)
}
