//! Room gup. Traces: every `pin_user_pages*` and `get_user_pages*`, `memfd_pin_folios`; every exported `unpin_*`, and
//! `gup_put_folio`. Produces: calls, pages, errors and durations by entry point and geometry; pages unpinned.

use std::collections::BTreeMap;

use anyhow::Result;
use daxscope_common::{
    geometry,
    gup::{Gup, GupErrors, PINNED_PAGEMAPS, Pinned},
    point,
};

use super::{Family, Need, Point, geometry::Geometries, maps};
use crate::{
    errno,
    load::Probes,
    session::filters::How,
    snapshot::{CALLS as CALL_BOUNDS, Kind, Metric, Sample},
};

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
    metrics: &[
        &CALLS,
        &PAGES,
        &SAMPLED_CALLS,
        &LONGTERM_CALLS,
        &LONGTERM_PAGES,
        &DURATION,
        &ERRORS,
        &UNPINNED,
    ],
    read,
};

static CALLS: Metric = Metric {
    name: "gup_calls_total",
    kind: Kind::Counter,
    help: "Requests for user pages, each counted once, by the geometry of the first page returned (unknown if none \
           was). Source: return of the entry point in mm/gup.c.",
    labels: &["how", "entry", "geometry"],
};
static PAGES: Metric = Metric {
    name: "gup_pages_total",
    kind: Kind::Counter,
    help: "User pages returned by successful requests; for memfd, folios. Source: return of the entry point in \
           mm/gup.c.",
    labels: &["how", "entry", "geometry"],
};
static SAMPLED_CALLS: Metric = Metric {
    name: "gup_sampled_calls_total",
    kind: Kind::Counter,
    help: "Of the requests, those with pages of which not each was looked at or proven to be like its neighbours: too many \
           that do not follow each other in memory. By the geometry of the first page. Source: the programs.",
    labels: &["how", "entry", "geometry"],
};
static LONGTERM_CALLS: Metric = Metric {
    name: "gup_longterm_calls_total",
    kind: Kind::Counter,
    help: "Of the requests, those with FOLL_LONGTERM, by the geometry of the first page returned. Source: gup_flags of \
           the entry point in mm/gup.c.",
    labels: &["how", "entry", "geometry"],
};
static LONGTERM_PAGES: Metric = Metric {
    name: "gup_longterm_pages_total",
    kind: Kind::Counter,
    help: "Of the pages returned, those asked for with FOLL_LONGTERM. Source: gup_flags and the return of the entry \
           point in mm/gup.c.",
    labels: &["how", "entry", "geometry"],
};
static DURATION: Metric = Metric {
    name: "gup_duration_seconds",
    kind: Kind::Histogram(&CALL_BOUNDS),
    help: "Time inside requests for user pages, page faults included, in seconds. Source: entry and return of the \
           entry point in mm/gup.c.",
    labels: &["how", "entry", "geometry"],
};
static ERRORS: Metric = Metric {
    name: "gup_errors_total",
    kind: Kind::Counter,
    help: "Requests for user pages that failed. Source: return of the entry point in mm/gup.c.",
    labels: &["how", "entry", "errno"],
};
static UNPINNED: Metric = Metric {
    name: "unpinned_pages_total",
    kind: Kind::Counter,
    help: "Pins given back, those that the kernel itself undoes included. Source: entry of gup_put_folio \
           (put_compound_head before 5.19) with FOLL_PIN; where the compiler copied that into others (probe_attached \
           tells), entries of the exported unpin functions too, and of it outside of those.",
    labels: &["geometry"],
};

fn read(probes: &Probes) -> Result<Vec<Sample>> {
    let object = probes.object();
    let geometries = Geometries::read(probes)?;
    let mut samples = vec![];
    for (number, how, entry) in ENTRIES {
        if probes.attached(number).is_none() {
            continue;
        }
        for (slot, geometry) in &geometries.slots {
            let index = number as usize * geometry::SLOTS + *slot as usize;
            let stats: Gup = maps::per_cpu(object, "GUP", index)?;
            if geometry == "unknown" && stats.calls == 0 && stats.pages == 0 {
                continue;
            }
            let labels = [how, entry, geometry];
            samples.push(CALLS.count(labels, stats.calls));
            samples.push(PAGES.count(labels, stats.pages));
            // Parts of what has not been yet are no news.
            if stats.calls > 0 {
                samples.push(SAMPLED_CALLS.count(labels, stats.sampled_calls));
                samples.push(LONGTERM_CALLS.count(labels, stats.longterm_calls));
                samples.push(LONGTERM_PAGES.count(labels, stats.longterm_pages));
            }
            samples.extend(DURATION.durations(labels, stats.duration));
        }
        let errors: GupErrors = maps::per_cpu(object, "GUP_ERRORS", number as usize)?;
        for (errno, n) in errors.by_errno.into_iter().enumerate().skip(1) {
            if n > 0 {
                samples.push(ERRORS.count([how, entry, &errno::name(errno)], n));
            }
        }
    }
    for (slot, geometry) in &geometries.slots {
        let pages: u64 = maps::per_cpu(object, "GUP_UNPINNED", *slot as usize)?;
        if pages > 0 || geometry != "unknown" {
            samples.push(UNPINNED.count([geometry], pages));
        }
    }
    Ok(samples)
}

/// Pages of device memory that were pinned and given back under watch, by the address of their pagemap, which is a key
/// and never shown. Pins given back by the kernel inside the request that took them are in neither.
///
/// # Errors
/// When the map cannot be read.
pub fn pinned(probes: &Probes) -> Result<BTreeMap<u64, Pinned>> {
    maps::per_cpu_hash(probes.object(), "GUP_PAGEMAPS", PINNED_PAGEMAPS)
}
