//! A region that goes and comes, watched by sessions and a daemon: the same calls, and as many struct pages.

use anyhow::Result;
use serde_json::Value;

use super::LISTEN;
use super::calls::{Groups, Sum, Table, equal, total};
use super::workload::Ground;
use crate::guest::agent::Agent;
use crate::guest::report::Figures;
use crate::guest::scrape::Delta;
use crate::guest::session::Session;

/// Functions of the room memremap, with the metrics of their calls and of their struct pages.
const MEMREMAP: [(&str, &str, Option<&str>); 3] = [
    ("memremap_pages", "memremap_duration_seconds_count", None),
    ("memunmap_pages", "memunmap_duration_seconds_count", None),
    (
        "memmap_init_zone_device",
        "memmap_init_duration_seconds_count",
        Some("memmap_init_struct_pages_total"),
    ),
];
/// The first that is attached is the one that the daemon has durations of.
const POPULATE: [&str; 3] = [
    "__populate_section_memmap",
    "__add_pages",
    "vmemmap_populate",
];

pub fn all(figures: &mut Figures, ground: &Ground) -> Result<()> {
    let agent = Agent::start(&[], LISTEN)?;
    let rooms = ["trace", "memremap", "vmemmap", "--json", "--by"];
    let by = |by| rooms.iter().copied().chain([by]).collect::<Vec<&str>>();
    let alone = vec!["trace", "vmemmap", "--json", "--by", "entry,geometry"];
    let sessions = Session::start(&[by("entry,geometry"), by("entry,device"), alone])?;
    let before = agent.scrape()?;
    for device in &ground.devices {
        device.unbind()?;
        device.bind()?;
    }
    let after = agent.scrape()?;
    let tables = sessions
        .into_iter()
        .map(|session| Table::parse(&session.end_in_part()?));
    let tables = tables.collect::<Result<Vec<_>>>()?;
    let change = Delta {
        before: &before,
        after: &after,
    };
    let geometries = tables[0].groups(&["entry", "geometry"], |_| true)?;
    against(figures, &tables[0], &geometries, &change);
    for table in &tables {
        table.sound(figures, "regions")?;
    }
    // It needs the other room to tell geometries, and tells nothing of it.
    let populates: Groups = geometries
        .iter()
        .filter(|(key, _)| MEMREMAP.iter().all(|(function, ..)| key[0] != *function))
        .map(|(key, sum)| (key.clone(), *sum))
        .collect();
    let alone = tables[2].groups(&["entry", "geometry"], |_| true)?;
    equal(figures, "vmemmap alone", &populates, &alone);
    let devices = tables[1].groups(&["entry", "device"], |_| true)?;
    figures.equal("by device", total(&geometries), total(&devices));
    for device in &ground.devices {
        let key = ["memmap_init_zone_device".to_owned(), device.name()];
        let sum = devices.get(&key[..]).copied().unwrap_or_default();
        figures.equal(&format!("{} initialised", device.name()), 1, sum.calls);
    }
    Ok(())
}

fn against(figures: &mut Figures, table: &Table, told: &Groups, change: &Delta) {
    let attached = |symbol: &&str| {
        let of = |point: &&Value| point["symbol"] == *symbol && !point["mechanism"].is_null();
        table.points().any(|point| of(&point))
    };
    let timed = POPULATE.into_iter().find(attached);
    for geometry in ["4K", "2M", "1G", "unknown"] {
        let labels = [("geometry", geometry)];
        for (function, calls, pages) in MEMREMAP {
            let sum = of(told, function, geometry);
            let metric = |name| change.of(&format!("daxscope_{name}"), &labels);
            let what = format!("{function} of {geometry}");
            figures.equal(&format!("{what}: calls"), metric(calls), sum.calls);
            if let Some(pages) = pages {
                figures.equal(&format!("{what}: struct pages"), metric(pages), sum.pages);
            }
        }
        for point in table.points().filter(|point| {
            let symbol = point["symbol"].as_str().unwrap_or_default();
            POPULATE.contains(&symbol) && !point["mechanism"].is_null()
        }) {
            let (entry, symbol) = (text(&point["entry"]), text(&point["symbol"]));
            let labels = [("geometry", geometry), ("point", symbol)];
            let sum = of(told, entry, geometry);
            let what = format!("{symbol} of {geometry}");
            let calls = change.of("daxscope_vmemmap_populate_duration_seconds_count", &labels);
            let pages = change.of("daxscope_vmemmap_populate_struct_pages_total", &labels);
            let timed = if timed == Some(symbol) { sum.calls } else { 0 };
            figures.equal(&format!("{what}: durations"), calls, timed);
            figures.equal(&format!("{what}: struct pages"), pages, sum.pages);
        }
    }
}

fn of(told: &Groups, entry: &str, geometry: &str) -> Sum {
    let key = [entry.to_owned(), geometry.to_owned()];
    told.get(&key[..]).copied().unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
