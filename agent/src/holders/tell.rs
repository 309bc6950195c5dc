//! What a daemon knows of who holds pins.

use anyhow::Result;
use daxscope_common::memremap::Pagemap;

use super::{Device, GONE, Held, Pinned, Report, UNKNOWN, process};
use crate::{
    inventory::account::Account,
    kernel::{
        clock,
        functions::{self, Functions},
    },
    load::Probes,
    probes::{
        gup,
        holders::{self, Hold},
        live,
        pagemap::{self, Pins},
    },
    text,
};

/// What a daemon knows.
///
/// # Errors
/// When its maps cannot be read.
pub fn tell(probes: &Probes) -> Result<Report> {
    let mut holds = holders::read(probes)?;
    holds.sort_by_key(|hold| (std::cmp::Reverse(hold.pages), hold.tgid, hold.since));
    let functions = Functions::of(
        &probes.lists,
        holds.iter().flat_map(|hold| hold.stack.iter().copied()),
    );
    let live = live::read(probes.object())?;
    let pinned = gup::pinned(probes)?;
    let mut devices = vec![];
    let now = clock::monotonic();
    probes.known.accounts(probes, &live, |account, source| {
        let start = account.pagemap.ranges[0].start;
        let entry = live.iter().find(|(found, _)| *found == start);
        let of_it = |hold: &&Hold| entry.is_some_and(|(_, entry)| is_on(hold, entry));
        let of_it = holds.iter().filter(of_it);
        let held = of_it.map(|hold| held(hold, &functions, now)).collect();
        let pins = pagemap::pins(probes, account, source, &pinned);
        devices.push(device(account, &pins, held));
    });
    let gone = holds.iter().filter(|hold| {
        let mut live = live.iter();
        !live.any(|(_, entry)| is_on(hold, entry))
    });
    let gone: Vec<_> = gone.map(|hold| held(hold, &functions, now)).collect();
    if !gone.is_empty() {
        // Where the list of pagemaps could not be read, those from before have no address.
        let all_known = live.iter().all(|(_, entry)| entry.pgmap != 0);
        devices.push(nowhere(if all_known { GONE } else { UNKNOWN }, gone));
    }
    Ok(Report {
        watched: Ok(()),
        page_bytes: 1 << probes.facts.layout.page_shift,
        symbols_unknown: functions.hidden().map(str::to_owned),
        devices,
        skipped: probes.known.skipped().to_vec(),
        users: None,
    })
}

/// Whether a pin is on a pagemap that is live: the address alone may be of one that was there before it.
fn is_on(hold: &Hold, live: &Pagemap) -> bool {
    live.pgmap != 0 && hold.pgmap == live.pgmap && hold.since >= live.born
}

/// Pins on what has no name.
fn nowhere(label: &str, holds: Vec<Held>) -> Device {
    let mut device = Device {
        device: label.into(),
        namespace: None,
        pinned: Err(String::new()),
        before: 0,
        holds,
    };
    device.pinned = Ok(Pinned {
        pages: device.held(),
        at_least: false,
    });
    device
}

fn device(account: &Account, pins: &Pins, holds: Vec<Held>) -> Device {
    let found = account.pagemap.pins.as_ref();
    let pages = |pages: i64| u64::try_from(pages).unwrap_or(0);
    let mut device = Device {
        device: account.label.clone(),
        namespace: account.device.and_then(|device| device.namespace.clone()),
        pinned: match (pins.before, found) {
            (Some(before), _) => Ok(Pinned {
                pages: pages(before + pins.watched),
                at_least: found.is_ok_and(|pins| pins.looked < pins.units),
            }),
            (None, Err(reason)) => Err(reason.clone()),
            (None, Ok(_)) => Err("more than can be counted".into()),
        },
        before: 0,
        holds,
    };
    // Which of the pins from before are left nobody knows: all that can be.
    device.before = device.unnoted().min(pages(pins.before.unwrap_or(0)));
    device
}

fn held(hold: &Hold, functions: &Functions, now: u64) -> Held {
    let name = hold.comm.split(|byte| *byte == 0).next();
    Held {
        process: text::foreign(name.unwrap_or_default()),
        pid: hold.tgid,
        alive: process::alive(hold.tgid, hold.since),
        entry: gup::entry_words(hold.point).unwrap_or_else(|| "unknown".into()),
        caller: functions
            .caller(&hold.stack)
            .map_or(functions::UNKNOWN.into(), |caller| functions.words(caller)),
        stack: hold.stack.iter().map(|at| functions.words(*at)).collect(),
        pages: hold.pages,
        age: std::time::Duration::from_nanos(now.saturating_sub(hold.since)).as_secs_f64(),
    }
}
