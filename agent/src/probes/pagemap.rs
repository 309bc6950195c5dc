//! Room pagemap: every live pagemap by the name of its device: what its struct pages cost, where they are, what is saved,
//! and whether it is going. Traces nothing itself: it joins the table of room memremap with the inventory and sysfs.

mod going;
mod known;

use std::collections::BTreeMap;

use anyhow::Result;
use daxscope_common::gup::Pinned;

pub use self::known::Known;
use self::known::WATCHED;
use super::{Family, gup, live};
use crate::{
    inventory::{
        Source,
        account::Account,
        cost::{self, Cost},
    },
    load::Probes,
    snapshot::{Kind, Metric, Sample, Value},
};

pub static FAMILY: Family = Family {
    name: "pagemap",
    points: &[],
    metrics: &[
        &INFO,
        &STRUCT_PAGES,
        &VMEMMAP,
        &NODE,
        &SAVED,
        &DEDUPLICATED,
        &DISAGREEMENT,
        &UNMEASURED,
        &PINNED,
        &GOING,
        &AGE,
        &INVENTORY,
    ],
    read,
};

static INFO: Metric = Metric {
    name: "pagemap_info",
    kind: Kind::Gauge,
    help: "Always 1: what is known of a live pagemap; source says how it was found: pgmap_array or sysfs at the start, \
           watched if it came up since. Source: dev_pagemap, sysfs by address.",
    labels: &[
        "device",
        "namespace",
        "region",
        "node",
        "driver",
        "mode",
        "type",
        "geometry",
        "source",
    ],
};
static STRUCT_PAGES: Metric = Metric {
    name: "pagemap_struct_pages",
    kind: Kind::Gauge,
    help: "Struct pages of a live pagemap: base pages in its ranges, whether deduplicated or not. Source: \
           dev_pagemap.ranges.",
    labels: &["device"],
};
static VMEMMAP: Metric = Metric {
    name: "pagemap_vmemmap_bytes",
    kind: Kind::Gauge,
    help: "Memory that backs the struct pages of a pagemap, in bytes: in RAM, on the device, and the page tables that map \
           them one by one. Source: by method; measured, the kernel's page tables; blocks, the pages that the device \
           handed out (altmap.alloc); formula, the arithmetic of mm/sparse-vmemmap.c.",
    labels: &["device", "backing", "method"],
};
/// Nodes that a device has a series for.
const NODES: usize = 16;
static NODE: Metric = Metric {
    name: "pagemap_vmemmap_node_bytes",
    kind: Kind::Gauge,
    help: "RAM that backs the struct pages of a pagemap, by NUMA node (of more than 16, the rest as other), in bytes, without \
           page tables. Source: the kernel's page tables.",
    labels: &["device", "node"],
};
static SAVED: Metric = Metric {
    name: "pagemap_vmemmap_saved_bytes",
    kind: Kind::Gauge,
    help: "Bytes that struct pages and their page tables take less than with a geometry of base pages in the same \
           place; below 0 if they take more. Source: measured where it is, else by formula.",
    labels: &["device"],
};
static DEDUPLICATED: Metric = Metric {
    name: "pagemap_deduplicated",
    kind: Kind::Gauge,
    help: "1 if struct pages of a pagemap share memory, else 0 with the reason. Source: measured where it is, else by \
           formula.",
    labels: &["device", "reason"],
};
static DISAGREEMENT: Metric = Metric {
    name: "pagemap_vmemmap_disagreement_bytes",
    kind: Kind::Gauge,
    help: "Bytes measured less bytes by formula, page tables included: not 0 on a kernel with a layout that the formula \
           does not know. Source: pagemap_vmemmap_bytes.",
    labels: &["device"],
};
static UNMEASURED: Metric = Metric {
    name: "pagemap_unmeasured",
    kind: Kind::Gauge,
    help: "1 for a pagemap whose memory could not be measured, with the reason. Source: daxscope.",
    labels: &["device", "reason"],
};
static PINNED: Metric = Metric {
    name: "pagemap_pinned_pages",
    kind: Kind::Gauge,
    help: "References by FOLL_PIN on the pages of a pagemap: what was pinned less what was given back under watch, and \
           those there before, by the pages' own counts (a lower bound if not all were looked at; absent if none could \
           be). Source: gup_pages_total, unpinned_pages_total, the inventory at the start.",
    labels: &["device"],
};
static GOING: Metric = Metric {
    name: "memunmap_in_progress",
    kind: Kind::Gauge,
    help: "1 while memunmap_pages takes a pagemap down; up to 5.17 it waits for the last reference on its pages. Source: entry of \
           memunmap_pages.",
    labels: &["device"],
};
static AGE: Metric = Metric {
    name: "memunmap_age_seconds",
    kind: Kind::Gauge,
    help: "For how long memunmap_pages has been taking a pagemap down, in seconds; 0 if it is not. Source: entry of \
           memunmap_pages.",
    labels: &["device"],
};
static INVENTORY: Metric = Metric {
    name: "inventory_info",
    kind: Kind::Gauge,
    help: "Always 1: where pagemaps that were there before the agent were found, and why not in the kernel's own list. \
           Source: daxscope.",
    labels: &["source", "reason"],
};

fn read(probes: &Probes) -> Result<Vec<Sample>> {
    let live = live::read(probes.object())?;
    let going = going::read(probes)?;
    let pinned = gup::pinned(probes)?;
    let mut samples = vec![];
    if let Some(source) = probes.known.source() {
        let (source, reason) = match source {
            Source::PgmapArray => ("pgmap_array", ""),
            Source::Sysfs { reason } => ("sysfs", reason.as_str()),
        };
        samples.push(INVENTORY.count([source, reason], 1));
    }
    probes.known.accounts(probes, &live, |account, source| {
        let page_shift = probes.facts.layout.page_shift;
        samples.extend(of_account(page_shift, account, source));
        let start = account.pagemap.ranges[0].start;
        let age = going.get(&start).copied();
        let pins = pins(probes, account, source, &pinned);
        let pinned = pins.before.map(|before| before + pins.watched);
        samples.extend(of_moment(&account.label, pinned, age));
    });
    Ok(samples)
}

/// Pages of one pagemap.
pub(crate) struct Pins {
    /// Pinned when the watch began; `None` where that cannot be told.
    pub before: Option<i64>,
    /// Pinned less given back since; below 0 while pins from before are given back.
    pub watched: i64,
}

/// The pins on a pagemap, with the label `source` of its account, and what [`gup::pinned`] says.
pub(crate) fn pins(
    probes: &Probes,
    account: &Account,
    source: &str,
    pinned: &BTreeMap<u64, Pinned>,
) -> Pins {
    let watched = pinned.get(&account.pagemap.pgmap);
    Pins {
        before: match source {
            // What is given back inside a request looks like any other release then.
            _ if probes.facts.layout.latency == 0 => None,
            WATCHED => Some(0),
            _ => probes.known.pinned_before(account.pagemap),
        },
        watched: watched.map_or(0, known::outstanding),
    }
}

/// What changes from one moment to the next: pages pinned, and for how long it has been going, in seconds.
fn of_moment(device: &str, pinned: Option<i64>, age: Option<f64>) -> Vec<Sample> {
    let pinned = pinned.map(|pages| PINNED.sample([device], signed(pages)));
    let going = [
        GOING.count([device], u64::from(age.is_some())),
        AGE.sample([device], Value::Real(age.unwrap_or(0.0))),
    ];
    pinned.into_iter().chain(going).collect()
}

fn of_account(page_shift: u32, account: &Account, source: &str) -> Vec<Sample> {
    let Account {
        pagemap, device, ..
    } = account;
    let label = account.label.as_str();
    let text = |of: Option<&String>| of.cloned().unwrap_or_default();
    let node = device.and_then(|device| device.node);
    let node = node.map_or_else(String::new, |node| node.to_string());
    let mut samples = vec![INFO.count(
        [
            label,
            &text(device.and_then(|device| device.namespace.as_ref())),
            &text(device.and_then(|device| device.region.as_ref())),
            &node,
            &text(device.and_then(|device| device.driver.as_ref())),
            device.map_or("", |device| &device.mode),
            &pagemap.kind,
            &live::geometry_of(pagemap.shift.as_ref().ok().copied(), page_shift),
            source,
        ],
        1,
    )];
    samples.push(STRUCT_PAGES.count([label], pagemap.struct_pages(page_shift)));
    let mut cost = |method, cost: &Cost| {
        for (backing, bytes) in [
            ("ram", cost.ram),
            ("device", cost.device),
            ("page_tables", cost.tables),
        ] {
            samples.push(VMEMMAP.count([label, backing, method], bytes));
        }
    };
    if let Ok(measured) = &account.measured {
        cost("measured", measured);
    }
    if let Ok(formula) = &account.formula {
        cost("formula", formula);
    }
    if let Some(handed_out) = pagemap.altmap.and_then(|altmap| altmap.alloc) {
        let bytes = handed_out << page_shift;
        samples.push(VMEMMAP.count([label, "device", "blocks"], bytes));
    }
    match &pagemap.backing {
        Ok(backing) => samples.extend(
            by_node(&backing.ram)
                .into_iter()
                .map(|(node, bytes)| NODE.count([label, &node], bytes)),
        ),
        Err(reason) => samples.push(UNMEASURED.count([label, reason], 1)),
    }
    if let Ok(saved) = account.saved() {
        samples.push(SAVED.sample([label], signed(saved)));
    }
    if let Some(bytes) = account.disagreement() {
        samples.push(DISAGREEMENT.sample([label], signed(bytes)));
    }
    match &account.deduplicated {
        Ok(()) => samples.push(DEDUPLICATED.count([label, ""], 1)),
        // Nobody can tell, so there is no number.
        Err(why) if why.word == cost::UNKNOWN => {}
        Err(why) => samples.push(DEDUPLICATED.count([label, why.word], 0)),
    }
    samples
}

/// Bytes by NUMA node: of the nodes with the lowest numbers each, of all others together.
fn by_node(ram: &BTreeMap<u32, u64>) -> Vec<(String, u64)> {
    let each = ram.iter().take(NODES);
    let mut nodes: Vec<_> = each
        .map(|(node, bytes)| (node.to_string(), *bytes))
        .collect();
    if ram.len() > NODES {
        let others = ram.values().skip(NODES).sum();
        nodes.push(("other".into(), others));
    }
    nodes
}

/// Bytes that back the struct pages of all pagemaps of a snapshot, without page tables: measured where they are, else by
/// formula; `None` if there is a pagemap with neither.
#[must_use]
pub fn backing(snapshot: &[Sample]) -> Option<u64> {
    let of = |metric: &'static Metric| {
        let of = move |sample: &&Sample| sample.metric == metric;
        snapshot.iter().filter(of)
    };
    let by = |device: &str, method: &str| -> Option<u64> {
        let parts = of(&VMEMMAP).filter(|sample| {
            let labels = &sample.labels;
            labels[0] == device && labels[1] != "page_tables" && labels[2] == method
        });
        let bytes = parts.filter_map(|sample| match sample.value {
            Value::Count(bytes) => Some(bytes),
            _ => None,
        });
        bytes.reduce(|sum, bytes| sum + bytes)
    };
    of(&STRUCT_PAGES)
        .map(|sample| &sample.labels[0])
        .map(|device| by(device, "measured").or_else(|| by(device, "formula")))
        .sum()
}

/// A gauge that may be below 0.
#[expect(
    clippy::cast_precision_loss,
    reason = "the format has only f64: exact to 2^53"
)]
fn signed(bytes: i64) -> Value {
    Value::Real(bytes as f64)
}

/// All that a host can have beside its devices.
#[cfg(test)]
pub(super) fn worst_host() -> Vec<Sample> {
    vec![INVENTORY.count(["", ""], 1)]
}

/// All that a device can have: everything measured, on more nodes than are told apart, some of it on the device.
#[cfg(test)]
pub(super) fn worst_device() -> Vec<Sample> {
    use crate::inventory::{Altmap, Backing, Pagemap, Range};

    let pagemap = Pagemap {
        pgmap: 0,
        ranges: vec![Range {
            start: 0,
            end: 4095,
        }],
        kind: String::new(),
        kind_value: 0,
        shift: Ok(0),
        altmap: Some(Altmap {
            base_pfn: 0,
            reserve: 0,
            free: 0,
            alloc: Some(1),
        }),
        backing: Ok(Backing {
            ram: (0..1024).map(|node| (node, 1)).collect(),
            ..Backing::default()
        }),
        pins: Err(String::new()),
    };
    let cost = Ok(Cost::default());
    let account = Account {
        pagemap: &pagemap,
        device: None,
        label: String::new(),
        measured: cost.clone(),
        formula: cost.clone(),
        base: cost,
        deduplicated: Ok(()),
    };
    let mut samples = of_account(12, &account, "");
    samples.extend(of_moment("", Some(0), Some(0.0)));
    // Never beside what was measured, so one more than there can be.
    samples.push(UNMEASURED.count(["", ""], 1));
    samples
}
