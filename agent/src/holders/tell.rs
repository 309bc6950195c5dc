//! What a daemon knows of who holds pins.

use anyhow::Result;

use super::{Device, Held, Pinned, Report, process};
use crate::{
    inventory::account::Account,
    kernel::{clock, functions::Functions},
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
    let functions = Functions::of(holds.iter().flat_map(|hold| hold.stack.iter().copied()));
    let live = live::read(probes.object())?;
    let pinned = gup::pinned(probes)?;
    let mut devices = vec![];
    let now = clock::monotonic();
    probes.known.accounts(probes, &live, |account, source| {
        let pgmap = account.pagemap.pgmap;
        let of_it = holds
            .iter()
            .filter(|hold| pgmap != 0 && hold.pgmap == pgmap);
        let held = of_it.map(|hold| held(hold, &functions, now)).collect();
        let pins = pagemap::pins(probes, account, source, &pinned);
        devices.push(device(account, &pins, held));
    });
    Ok(Report {
        watched: Ok(()),
        page_bytes: 1 << probes.facts.layout.page_shift,
        symbols_unknown: functions.hidden().map(str::to_owned),
        devices,
        skipped: probes.known.skipped().to_vec(),
        users: None,
    })
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
        caller: functions.caller(&hold.stack),
        stack: hold.stack.iter().map(|at| functions.words(*at)).collect(),
        pages: hold.pages,
        age: std::time::Duration::from_nanos(now.saturating_sub(hold.since)).as_secs_f64(),
    }
}
