//! The report as one JSON object: every figure as a plain number, its unit in the key.

use serde_json::{Map, Value, json};

use super::Report;
use crate::{
    inventory::{
        Pagemap, Range, Source,
        account::Account,
        cost::{Cost, Why},
        names,
    },
    probes::geometry,
};

impl Report<'_> {
    /// The report as one object.
    #[must_use]
    pub fn json(&self) -> Value {
        let (source, reason) = match &self.inventory.source {
            Source::PgmapArray => ("pgmap_array", None),
            Source::Sysfs { reason } => ("sysfs", Some(reason)),
        };
        let pagemaps: Vec<_> = self.accounts.iter().map(|a| self.pagemap(a)).collect();
        let pages: u64 = self
            .accounts
            .iter()
            .map(|a| a.pagemap.struct_pages(self.page_shift))
            .sum();
        let saved: i64 = self.accounts.iter().filter_map(|a| a.saved().ok()).sum();
        json!({
            "daxscope": crate::VERSION,
            "kernel": self.kernel,
            "source": source,
            "source_reason": reason,
            "skipped": self.inventory.skipped,
            "formula_unknown": self.formula.as_ref().err().map(Why::to_string),
            "pagemaps": pagemaps,
            "total": {
                "struct_pages": pages,
                "used": cost(&self.used()),
                "saved_bytes": saved,
            },
            "kernel_counts": self.kernels_count().map(|count| json!({
                "nr_memmap_pages": {
                    "kernel_pages": count.kernel,
                    "daxscope_pages": count.ours,
                    "difference_pages": i128::from(count.kernel) - i128::from(count.ours),
                },
            })),
        })
    }

    fn pagemap(&self, account: &Account) -> Value {
        let pagemap = account.pagemap;
        let power = pagemap.shift.as_ref().map(|shift| self.page_shift + shift);
        let ranges: Vec<_> = pagemap
            .ranges
            .iter()
            .map(|range| json!({ "start_address": range.start, "end_address": range.end }))
            .collect();
        let size: u64 = pagemap.ranges.iter().map(Range::bytes).sum();
        let mut object = json!({
            "device": account.label,
            "type": pagemap.kind,
            "ranges": ranges,
            "size_bytes": size,
            "geometry": power.as_ref().ok().map(|power| geometry::label(*power)),
            "geometry_bytes": power.as_ref().ok().map(|power| 1_u64 << power),
            "geometry_unknown": power.err(),
            "altmap": pagemap.altmap.is_some(),
            "struct_pages": pagemap.struct_pages(self.page_shift),
            "used": account.used().ok().as_ref().map(cost),
            "used_method": method(account),
            "measured": measured(pagemap),
            "measured_unknown": pagemap.backing.as_ref().err(),
            "formula": account.formula.as_ref().ok().map(cost),
            "formula_unknown": account.formula.as_ref().err(),
            "base_pages": account.base.as_ref().ok().map(cost),
            "saved_bytes": account.saved().ok(),
            "disagreement_bytes": account.disagreement(),
            "deduplicated": deduplicated(account),
            "not_deduplicated": account.deduplicated.as_ref().err().map(|why| json!({
                "reason": why.word,
                "explanation": why.sentence,
            })),
            "pins": pagemap.pins.as_ref().ok().map(|pins| json!({
                "pages": pins.pages,
                "units": pins.units,
                "units_looked_at": pins.looked,
            })),
            "pins_unknown": pagemap.pins.as_ref().err(),
        });
        if let Some(object) = object.as_object_mut() {
            object.append(&mut device(account));
        }
        object
    }
}

/// The names, each null where there is none.
fn device(account: &Account) -> Map<String, Value> {
    let device = account.device;
    let names = json!({
        "namespace": device.and_then(|device| device.namespace.as_deref()),
        "region": device.and_then(|device| device.region.as_deref()),
        "node": device.and_then(|device| device.node),
        "driver": device.and_then(|device| device.driver.as_deref()),
        "mode": device.map(|device| device.mode.as_str()),
        "map": device.and_then(|device| device.map).map(names::Map::name),
        "align_bytes": device.and_then(|device| device.align),
    });
    match names {
        Value::Object(names) => names,
        _ => Map::new(),
    }
}

/// Null where nobody can tell.
fn deduplicated(account: &Account) -> Option<bool> {
    match &account.deduplicated {
        Ok(()) => Some(true),
        Err(why) => (why.word != "unknown").then_some(false),
    }
}

/// How the figures of `used` came about.
fn method(account: &Account) -> Option<&'static str> {
    match (&account.measured, &account.formula) {
        (Ok(_), _) if account.sampled() => Some("sampled"),
        (Ok(_), _) => Some("measured"),
        (Err(_), Ok(_)) => Some("formula"),
        (Err(_), Err(_)) => None,
    }
}

fn measured(pagemap: &Pagemap) -> Option<Value> {
    let backing = pagemap.backing.as_ref().ok()?;
    Some(json!({
        "ram_bytes": backing.ram_bytes(),
        "ram_node_bytes": backing.ram,
        "device_bytes": backing.device,
        "tables_bytes": backing.tables,
        "pieces": backing.pieces,
        "pieces_looked_at": backing.looked,
    }))
}

fn cost(cost: &Cost) -> Value {
    json!({
        "ram_bytes": cost.ram,
        "device_bytes": cost.device,
        "tables_bytes": cost.tables,
    })
}
