//! Who holds pins on device memory now, as the programs of room gup noted it: only with `run --track-holders`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use aya::maps::{MapData, StackTraceMap};
use daxscope_common::holders::{CUT, HOLDS, Hold as Noted, Key, NO_STACK};

use super::maps;
use crate::load::Probes;

/// The maps of the programs, which take no room if holders are not tracked.
pub const MAPS: [&str; 2] = [TABLE, STACKS];
const TABLE: &str = "HOLDS";
const STACKS: &str = "HOLD_STACKS";

/// Pins that one process took at one place in the kernel on the pages of one pagemap, and has not given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Address of the pagemap in the kernel: a key, never shown.
    pub pgmap: u64,
    /// Pages still pinned.
    pub pages: u64,
    /// What people call the pid.
    pub tgid: u32,
    /// Name of the task that pinned, ended by a zero byte if it is shorter; the task chose it.
    pub comm: [u8; 16],
    /// The entry into GUP: `daxscope_common::point`.
    pub point: u32,
    /// Return addresses in the kernel, innermost first; empty if unknown. Never shown but as symbols.
    pub stack: Vec<u64>,
    /// When the oldest of them was taken: `CLOCK_MONOTONIC`, ns.
    pub since: u64,
}

/// One for each pagemap, process, entry and stack.
///
/// # Errors
/// When the maps cannot be read.
pub fn read(probes: &Probes) -> Result<Vec<Hold>> {
    let mut holds = BTreeMap::new();
    if probes.holders {
        for (_, noted) in maps::hash::<Key, Noted>(probes.object(), TABLE, HOLDS)? {
            // The entry of a holder who has let go of a compound page stays until another needs its place.
            if noted.pins == 0 {
                continue;
            }
            let holder = (noted.pgmap, noted.tgid, noted.point, noted.stack);
            let (pages, oldest) = holds.entry(holder).or_insert((0, noted));
            // Two's complement: a release may have been taken off the wrong holder of a unit.
            *pages += noted.pins.cast_signed();
            if noted.since < oldest.since {
                *oldest = noted;
            }
        }
    }
    let map = probes.object().map(STACKS);
    let map = map.with_context(|| format!("the eBPF object has no map {STACKS}"))?;
    let stacks: StackTraceMap<&MapData> = map.try_into()?;
    let holds = holds.into_values();
    let holds = holds.filter_map(|(pages, noted)| {
        Some(Hold {
            pgmap: noted.pgmap,
            pages: u64::try_from(pages).ok().filter(|pages| *pages > 0)?,
            tgid: noted.tgid,
            comm: noted.comm,
            point: noted.point,
            stack: stack(&stacks, noted.stack),
            since: noted.since,
        })
    });
    Ok(holds.collect())
}

fn stack(stacks: &StackTraceMap<&MapData>, number: u32) -> Vec<u64> {
    if number == NO_STACK {
        return vec![];
    }
    // A stack that cannot be read is unknown; the hold is not.
    stacks.get(&(number & !CUT), 0).map_or_else(
        |_| vec![],
        |stack| stack.frames().iter().map(|frame| frame.ip).collect(),
    )
}
