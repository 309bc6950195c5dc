//! Room gup. Traces: every `pin_user_pages*` and `get_user_pages*`, `memfd_pin_folios`; every exported `unpin_*`, and
//! `gup_put_folio`. Produces: calls, pages, errors and durations by entry point and geometry; pages unpinned.

mod figures;

use std::collections::BTreeMap;

use anyhow::Result;
use daxscope_common::{
    geometry,
    gup::{Gup, PINNED_PAGEMAPS, Pinned},
    point,
};

#[cfg(test)]
pub(super) use self::figures::worst;
use super::{Family, Need, Point, maps};
use crate::{load::Probes, session::filters::How};

/// A way into GUP: its number, and the labels `how` and `entry`.
const ENTRIES: [(u32, &str, &str); point::GUP_ENTRIES] = [
    (point::PIN_USER_PAGES_FAST, "pin", "fast"),
    (point::PIN_USER_PAGES_FAST_ONLY, "pin", "fast_only"),
    (point::PIN_USER_PAGES, "pin", "slow"),
    (point::PIN_USER_PAGES_REMOTE, "pin", "remote"),
    (point::PIN_USER_PAGES_UNLOCKED, "pin", "unlocked"),
    (point::PIN_USER_PAGES_LOCKED, "pin", "locked"),
    (point::MEMFD_PIN_FOLIOS, "pin", "memfd"),
    (point::GET_USER_PAGES_FAST, "get", "fast"),
    (point::GET_USER_PAGES_FAST_ONLY, "get", "fast_only"),
    (point::GET_USER_PAGES, "get", "slow"),
    (point::GET_USER_PAGES_REMOTE, "get", "remote"),
    (point::GET_USER_PAGES_UNLOCKED, "get", "unlocked"),
    (point::GET_USER_PAGES_LOCKED, "get", "locked"),
];

/// `pin fast` of a way into GUP: its labels `how` and `entry`.
#[must_use]
pub fn entry_words(number: u32) -> Option<String> {
    let found = ENTRIES.iter().find(|(entry, ..)| *entry == number);
    found.map(|(_, how, entry)| format!("{how} {entry}"))
}

/// Calls and pages that were counted of a way into GUP, of whatever geometry.
///
/// # Errors
/// When its map cannot be read.
pub fn of_entry(probes: &Probes, number: u32) -> Result<[u64; 2]> {
    let mut sum = [0, 0];
    for slot in 0..geometry::SLOTS {
        let index = number as usize * geometry::SLOTS + slot;
        let stats: Gup = maps::per_cpu(probes.object(), "GUP", index)?;
        sum[0] += stats.calls;
        sum[1] += stats.pages;
    }
    Ok(sum)
}

/// What a point of this room does with pages.
#[must_use]
pub fn how(number: u32) -> How {
    match ENTRIES.iter().find(|(entry, ..)| *entry == number) {
        Some((_, "pin", _)) => How::Pin,
        Some(_) => How::Get,
        None => How::Unpin,
    }
}

/// A way into GUP, with the positions of the array of pages and of the flags.
const fn entry(number: u32, symbols: &'static [&'static str], reads: Reads) -> Point {
    Point {
        name: symbols[0],
        number,
        symbols,
        returns: true,
        reads,
        need: Need::IfPresent,
    }
}
type Reads = &'static [(usize, &'static [&'static str])];
const THIRD: Reads = &[(2, &["pages"]), (3, &["gup_flags"])];
const FOURTH: Reads = &[(3, &["pages"]), (2, &["gup_flags"])];
const FIFTH: Reads = &[(4, &["pages"]), (3, &["gup_flags"])];

/// The static function that all others which give pins back were written to call; newest name first.
pub(crate) const RELEASE: &[&str] = &["gup_put_folio", "put_compound_head"];

/// The functions that give pins back: the static one that all others may go through, and those.
pub(crate) fn releases() -> Vec<&'static str> {
    let points = FAMILY.points.iter();
    let points = points.filter(|point| point.number >= point::GUP_PUT);
    points.flat_map(|point| point.symbols).copied().collect()
}

/// An exported way to give pins back.
const fn unpin(number: u32, symbols: &'static [&'static str], reads: Reads) -> Point {
    Point {
        name: symbols[0],
        number,
        symbols,
        returns: true,
        reads,
        need: Need::UnlessAllReach(point::GUP_PUT),
    }
}
const ONE: Reads = &[(0, &["page", "folio"])];
const RANGE: Reads = &[(0, &["page", "folio"]), (1, &["npages"])];
const MANY: Reads = &[(0, &["pages", "folios"]), (1, &["npages", "nfolios"])];

pub static FAMILY: Family = Family {
    name: "gup",
    points: &[
        entry(point::PIN_USER_PAGES_FAST, &["pin_user_pages_fast"], FOURTH),
        entry(
            point::PIN_USER_PAGES_FAST_ONLY,
            &["pin_user_pages_fast_only"],
            FOURTH,
        ),
        entry(point::PIN_USER_PAGES, &["pin_user_pages"], FOURTH),
        entry(
            point::PIN_USER_PAGES_REMOTE,
            &["pin_user_pages_remote"],
            FIFTH,
        ),
        entry(
            point::PIN_USER_PAGES_UNLOCKED,
            &["pin_user_pages_unlocked"],
            THIRD,
        ),
        entry(
            point::PIN_USER_PAGES_LOCKED,
            &["pin_user_pages_locked"],
            FOURTH,
        ),
        entry(
            point::MEMFD_PIN_FOLIOS,
            &["memfd_pin_folios"],
            &[(3, &["folios"])],
        ),
        entry(point::GET_USER_PAGES_FAST, &["get_user_pages_fast"], FOURTH),
        entry(
            point::GET_USER_PAGES_FAST_ONLY,
            &["get_user_pages_fast_only"],
            FOURTH,
        ),
        entry(point::GET_USER_PAGES, &["get_user_pages"], FOURTH),
        entry(
            point::GET_USER_PAGES_REMOTE,
            &["get_user_pages_remote"],
            FIFTH,
        ),
        entry(
            point::GET_USER_PAGES_UNLOCKED,
            &["get_user_pages_unlocked"],
            THIRD,
        ),
        entry(
            point::GET_USER_PAGES_LOCKED,
            &["get_user_pages_locked"],
            FOURTH,
        ),
        // Static, and all exported functions below go through it or through an inlined copy (load/funnel.rs tells); renamed in
        // 5.19.
        Point {
            name: "gup_put",
            number: point::GUP_PUT,
            symbols: RELEASE,
            returns: false,
            reads: &[(0, &["folio", "page"]), (1, &["refs"]), (2, &["flags"])],
            need: Need::Extra,
        },
        unpin(point::UNPIN_USER_PAGE, &["unpin_user_page"], ONE),
        unpin(point::UNPIN_USER_PAGES, &["unpin_user_pages"], MANY),
        unpin(
            point::UNPIN_USER_PAGES_DIRTY_LOCK,
            &["unpin_user_pages_dirty_lock"],
            MANY,
        ),
        unpin(
            point::UNPIN_USER_PAGE_RANGE_DIRTY_LOCK,
            &["unpin_user_page_range_dirty_lock"],
            RANGE,
        ),
        unpin(point::UNPIN_USER_FOLIO, &["unpin_user_folio"], RANGE),
        unpin(point::UNPIN_FOLIO, &["unpin_folio"], ONE),
        unpin(point::UNPIN_FOLIOS, &["unpin_folios"], MANY),
    ],
    metrics: figures::METRICS,
    read: figures::read,
};

/// Pages of device memory that were pinned and given back under watch, by the address of their pagemap, which is a key
/// and never shown. Pins given back by the kernel inside the request that took them are in neither.
///
/// # Errors
/// When the map cannot be read.
pub fn pinned(probes: &Probes) -> Result<BTreeMap<u64, Pinned>> {
    maps::per_cpu_hash(probes.object(), "GUP_PAGEMAPS", PINNED_PAGEMAPS)
}
