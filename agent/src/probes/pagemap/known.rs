//! What is known of pagemaps beside the table of live ones: what the inventory found at the start, and their names.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use daxscope_common::{gup::Pinned, memremap::Pagemap};

use super::super::live;
use crate::{
    inventory::{
        self, Altmap, Backing, Inventory, Source, Tables,
        account::{Account, Formula, accounts},
        cost::Rules,
        names::{Device, Names, SYSFS},
    },
    kernel::{Kernel, clock},
    load::Probes,
};

/// For so long after a pagemap came up its device may get another name, in nanoseconds: drivers make their devices once
/// the memory is there.
const SETTLED: u64 = 60_000_000_000;

/// How long a scrape may measure a pagemap that it sees for the first time; beyond, it looks at a sample.
const BUDGET: Duration = Duration::from_millis(200);

/// Label value `source` of a pagemap that came up under watch.
pub const WATCHED: &str = "watched";

/// Kept for as long as the agent runs.
pub struct Known {
    formula: Formula,
    source: Option<Source>,
    skipped: Vec<String>,
    /// What was there at the start, by where it starts.
    found: HashMap<u64, inventory::Pagemap>,
    /// Measures what came up since; `Err` holds why nothing can.
    tables: Result<Tables, String>,
    measured: Mutex<HashMap<Key, Backing>>,
    names: Mutex<HashMap<Key, Option<Device>>>,
    /// Pages pinned less pages given back when the pages' own counts were read, by pagemap.
    outstanding: HashMap<u64, i64>,
}

/// Pages pinned and not given back, under watch. Below 0 while pins from before are given back.
#[must_use]
pub fn outstanding(pinned: &Pinned) -> i64 {
    pinned.acquired.wrapping_sub(pinned.released).cast_signed()
}

/// A pagemap, told from one that was there before: where it starts, and when it came up.
type Key = (u64, u64);

impl Known {
    /// Nothing but the formula of the kernel.
    #[must_use]
    pub fn new(kernel: &Kernel) -> Self {
        Self {
            formula: Rules::read(kernel),
            source: None,
            skipped: vec![],
            found: HashMap::new(),
            tables: Err("nobody looked where the page tables are".into()),
            measured: Mutex::new(HashMap::new()),
            names: Mutex::new(HashMap::new()),
            outstanding: HashMap::new(),
        }
    }

    /// Remembers what was there at the start, what was pinned under watch by then, and what measures what comes up later.
    pub fn remember(
        &mut self,
        inventory: Inventory,
        pinned: &BTreeMap<u64, Pinned>,
        tables: Result<Tables, String>,
    ) {
        let outstanding = |(pgmap, pinned): (&u64, &Pinned)| (*pgmap, outstanding(pinned));
        self.outstanding = pinned.iter().map(outstanding).collect();
        self.tables = tables;
        self.source = Some(inventory.source);
        self.skipped = inventory.skipped;
        let by_start = |pagemap: inventory::Pagemap| (pagemap.ranges[0].start, pagemap);
        self.found = inventory.pagemaps.into_iter().map(by_start).collect();
    }

    /// Where that was found; `None` if nobody looked.
    #[must_use]
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// Why an entry of the kernel's list was left out, once for each.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Pages of a pagemap that was there at the start that had been pinned before the watch began; `None` where that
    /// cannot be told.
    #[must_use]
    pub fn pinned_before(&self, pagemap: &inventory::Pagemap) -> Option<i64> {
        let pages = i64::try_from(pagemap.pins.as_ref().ok()?.pages).ok()?;
        let since = self.outstanding.get(&pagemap.pgmap).copied();
        Some(pages - since.unwrap_or(0))
    }

    /// Notes the names of live pagemaps while sysfs has them.
    pub fn name(&self, live: &[(u64, Pagemap)]) {
        drop(self.names(live));
    }

    /// Accounts for all live pagemaps; each comes with the value of the label `source`.
    pub fn accounts(
        &self,
        probes: &Probes,
        live: &[(u64, Pagemap)],
        mut each: impl FnMut(&Account, &str),
    ) {
        let names = self.names(live);
        let inventory = Inventory {
            source: Source::PgmapArray,
            pagemaps: live
                .iter()
                .map(|(start, entry)| self.describe(probes, *start, entry))
                .collect(),
            skipped: vec![],
        };
        let before = match self.source {
            Some(Source::Sysfs { .. }) => "sysfs",
            _ => "pgmap_array",
        };
        for account in accounts(&inventory, &names, &self.formula) {
            let start = account.pagemap.ranges[0].start;
            let born = live.iter().find(|(found, _)| *found == start);
            let watched = born.is_some_and(|(_, entry)| entry.born > 0);
            each(&account, if watched { WATCHED } else { before });
        }
    }

    /// One that was there at the start is as it was found, but for what the table alone can tell.
    fn describe(&self, probes: &Probes, start: u64, entry: &Pagemap) -> inventory::Pagemap {
        if entry.born == 0
            && let Some(found) = self.found.get(&start)
        {
            return found.clone();
        }
        let page_shift = probes.facts.layout.page_shift;
        // Of one with more ranges than are kept, all struct pages as if they were of one range.
        let ranges = live::ranges(entry).unwrap_or_else(|| {
            let end = start + (entry.struct_pages << page_shift) - 1;
            vec![inventory::Range { start, end }]
        });
        let mut pagemap = inventory::Pagemap {
            pgmap: entry.pgmap,
            ranges,
            kind: probes.memory_type(entry.kind),
            kind_value: entry.kind,
            shift: live::shift(entry).ok_or_else(|| "its vmemmap_shift was unreadable".into()),
            // Of its altmap only what it handed out is kept.
            altmap: (entry.altmap != 0).then_some(Altmap {
                base_pfn: start >> page_shift,
                reserve: 0,
                free: 0,
                alloc: Some(entry.altmap_pages),
            }),
            backing: Err(String::new()),
            pins: Err("it came up after the agent".into()),
        };
        pagemap.backing = self.backing(probes, (start, entry.born), &pagemap);
        pagemap
    }

    /// What backs a pagemap that came up under watch: measured when it is first seen.
    fn backing(
        &self,
        probes: &Probes,
        key: Key,
        of: &inventory::Pagemap,
    ) -> Result<Backing, String> {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(backing) = measured.get(&key) {
            return Ok(backing.clone());
        }
        let tables = self.tables.as_ref().map_err(String::clone)?;
        let end = Instant::now() + BUDGET;
        let backing = tables
            .measure(probes.object(), of, || Instant::now() < end)
            .map_err(|error| format!("{error:#}"))?;
        // One that started there before is gone.
        measured.retain(|(start, _), _| *start != key.0);
        measured.insert(key, backing.clone());
        Ok(backing)
    }

    /// Tries whether what comes up later can be measured, if anything could be until now.
    ///
    /// # Errors
    /// When its program can be run no more.
    pub fn measurable(&self, probes: &Probes) -> anyhow::Result<()> {
        match &self.tables {
            Ok(tables) => tables.runs(probes.object()),
            Err(_) => Ok(()),
        }
    }

    /// The devices of live pagemaps. A name stays while its pagemap lives, also when sysfs has already let go of it.
    fn names(&self, live: &[(u64, Pagemap)]) -> Names {
        let mut known = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let keys: Vec<Key> = live
            .iter()
            .map(|(start, entry)| (*start, entry.born))
            .collect();
        let now = clock::monotonic();
        let unsettled = |&(start, born): &Key| {
            !known.contains_key(&(start, born)) || (born > 0 && now < born + SETTLED)
        };
        if keys.iter().any(unsettled) {
            let fresh = Names::read(Path::new(SYSFS));
            for ((start, entry), key) in live.iter().zip(&keys) {
                let first = live::ranges(entry).and_then(|ranges| ranges.first().copied());
                let first = first.unwrap_or(inventory::Range {
                    start: *start,
                    end: *start,
                });
                let old = known.remove(key).flatten();
                // What is being taken down loses its device first; the namespace below it is no better name.
                let whole = |device: &&Device| device.driver.is_some() || old.is_none();
                let new = fresh.of(&first).filter(whole).cloned();
                known.insert(*key, new.or(old));
            }
            known.retain(|key, _| keys.contains(key));
        }
        Names::from(known.values().flatten().cloned().collect::<Vec<Device>>())
    }
}
