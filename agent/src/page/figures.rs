//! What the page looks up in a snapshot: by names of metrics and of labels. It does without what is not there.

use std::collections::BTreeMap;

use daxscope_common::hist::{Hist, SLOTS};

use crate::snapshot::{Sample, Snapshot, Value};

/// A series.
#[derive(Clone, Copy)]
pub struct Row<'a>(&'a Sample);

/// All series of a metric, by its name without prefix.
pub fn of<'a>(snapshot: &'a Snapshot, name: &'static str) -> impl Iterator<Item = Row<'a>> {
    let of = move |sample: &&Sample| sample.metric.name == name;
    snapshot.samples.iter().filter(of).map(Row)
}

impl<'a> Row<'a> {
    /// Empty if there is no such label.
    #[must_use]
    pub fn label(self, name: &str) -> &'a str {
        let mut labels = self.0.metric.labels.iter().zip(&self.0.labels);
        labels
            .find(|(label, _)| **label == name)
            .map_or("", |(_, value)| value)
    }

    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, which is what is wanted"
    )]
    pub fn count(self) -> u64 {
        match &self.0.value {
            Value::Count(count) => *count,
            Value::Real(real) => *real as u64,
            Value::Durations(hist) => hist.slots.iter().sum(),
        }
    }

    /// Of a gauge that may be below 0.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
    pub fn signed(self) -> i64 {
        match &self.0.value {
            Value::Real(real) => *real as i64,
            _ => i64::try_from(self.count()).unwrap_or(i64::MAX),
        }
    }

    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for showing")]
    pub fn real(self) -> f64 {
        match &self.0.value {
            Value::Real(real) => *real,
            _ => self.count() as f64,
        }
    }

    #[must_use]
    pub fn durations(self) -> Option<&'a Hist> {
        match &self.0.value {
            Value::Durations(hist) => Some(hist),
            _ => None,
        }
    }
}

/// The first series of a metric, for those that have one.
#[must_use]
pub fn one<'a>(snapshot: &'a Snapshot, name: &'static str) -> Option<Row<'a>> {
    of(snapshot, name).next()
}

/// A live pagemap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Device<'a> {
    pub name: &'a str,
    pub namespace: &'a str,
    pub node: &'a str,
    pub mode: &'a str,
    pub kind: &'a str,
    pub geometry: &'a str,
    pub struct_pages: u64,
    pub cost: Option<Cost>,
    /// Bytes.
    pub saved: Option<i64>,
    /// Whether struct pages share memory, or why not; `None` if nobody can tell.
    pub deduplicated: Option<Result<(), &'a str>>,
    /// Why its memory is not measured.
    pub unmeasured: Option<&'a str>,
    /// References by `FOLL_PIN`, in base pages; `None` if nobody can tell.
    pub pinned: Option<i64>,
    /// For how many seconds it has been taken down, if it is.
    pub going: Option<u64>,
}

/// What backs the struct pages of a pagemap, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub ram: u64,
    pub tables: u64,
    pub device: u64,
    pub measured: bool,
}

/// The live pagemaps, by name.
#[must_use]
pub fn devices(snapshot: &Snapshot) -> Vec<Device<'_>> {
    let devices = of(snapshot, "pagemap_info").map(device);
    let mut devices: BTreeMap<_, _> = devices.map(|device| (device.name, device)).collect();
    for sample in &snapshot.samples {
        let row = Row(sample);
        if let Some(device) = devices.get_mut(row.label("device")) {
            note(device, row);
        }
    }
    devices.into_values().collect()
}

fn device(row: Row<'_>) -> Device<'_> {
    Device {
        name: row.label("device"),
        namespace: row.label("namespace"),
        node: row.label("node"),
        mode: row.label("mode"),
        kind: row.label("type"),
        geometry: row.label("geometry"),
        ..Device::default()
    }
}

/// Adds what a series says of its device.
fn note<'a>(device: &mut Device<'a>, row: Row<'a>) {
    match row.0.metric.name {
        "pagemap_struct_pages" => device.struct_pages = row.count(),
        "pagemap_vmemmap_bytes" => note_cost(device, row),
        "pagemap_vmemmap_saved_bytes" => device.saved = Some(row.signed()),
        "pagemap_deduplicated" => {
            let why = row.label("reason");
            device.deduplicated = Some(if row.count() > 0 { Ok(()) } else { Err(why) });
        }
        "pagemap_unmeasured" => device.unmeasured = Some(row.label("reason")),
        "pagemap_pinned_pages" => device.pinned = Some(row.signed()),
        "memunmap_in_progress" if row.count() > 0 => {
            device.going = Some(device.going.unwrap_or_default());
        }
        "memunmap_age_seconds" if row.real() > 0.0 => device.going = Some(row.count()),
        _ => {}
    }
}

/// What was measured goes before what was calculated.
fn note_cost(device: &mut Device<'_>, row: Row<'_>) {
    let measured = match row.label("method") {
        "measured" => true,
        "formula" => false,
        _ => return,
    };
    let known = device.cost.filter(|cost| cost.measured || !measured);
    let mut cost = known.unwrap_or(Cost {
        measured,
        ..Cost::default()
    });
    if cost.measured == measured {
        match row.label("backing") {
            "ram" => cost.ram = row.count(),
            "page_tables" => cost.tables = row.count(),
            "device" => cost.device = row.count(),
            _ => {}
        }
    }
    device.cost = Some(cost);
}

/// What requests for user pages are told apart by: `pin` or `get`, and the geometry of their pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub how: String,
    pub geometry: String,
}

/// What was counted of a group since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
    pub group: Group,
    pub calls: u64,
    pub pages: u64,
    /// Of the calls that were timed; of all, unless the daemon was told not to.
    pub durations: Hist,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            group: Group {
                how: String::new(),
                geometry: String::new(),
            },
            calls: 0,
            pages: 0,
            durations: Hist::ZERO,
        }
    }
}

/// The groups of which there was a request, `pin` first, then by geometry as [`order`] has them.
#[must_use]
pub fn requests(snapshot: &Snapshot) -> Vec<Requests> {
    let mut groups: BTreeMap<_, Requests> = BTreeMap::new();
    for sample in &snapshot.samples {
        let row = Row(sample);
        let name = sample.metric.name;
        if !["gup_calls_total", "gup_pages_total", "gup_duration_seconds"].contains(&name) {
            continue;
        }
        let (how, geometry) = (row.label("how"), row.label("geometry"));
        let group = groups
            .entry((how != "pin", how, order(geometry)))
            .or_insert_with(|| Requests {
                group: Group {
                    how: how.into(),
                    geometry: geometry.into(),
                },
                ..Requests::default()
            });
        match row.durations() {
            Some(hist) => add(&mut group.durations, hist),
            None if name == "gup_calls_total" => group.calls += row.count(),
            None => group.pages += row.count(),
        }
    }
    groups.retain(|_, group| group.calls > 0);
    groups.into_values().collect()
}

fn add(sum: &mut Hist, hist: &Hist) {
    sum.sum = sum.sum.saturating_add(hist.sum);
    for (sum, n) in sum.slots.iter_mut().zip(&hist.slots) {
        *sum += n;
    }
}

/// Where a geometry stands among others: `system`, then by size, then what is no size.
#[must_use]
pub fn order(geometry: &str) -> (u64, &str) {
    let digits = geometry.trim_end_matches(char::is_alphabetic);
    let unit = match &geometry[digits.len()..] {
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        "" => 0,
        _ if geometry == "system" => return (0, geometry),
        _ => return (u64::MAX, geometry),
    };
    let size = digits.parse().ok().and_then(|n: u64| n.checked_shl(unit));
    (size.unwrap_or(u64::MAX), geometry)
}

/// Slots of a histogram that are not empty.
pub type Slots = Vec<(u8, u32)>;

/// What came since an earlier reading, as far as it fits into the numbers.
#[must_use]
pub fn since(now: &Hist, earlier: &Hist) -> Slots {
    const _: () = assert!(SLOTS <= 1 << u8::BITS);
    let new = now
        .slots
        .iter()
        .zip(&earlier.slots)
        .map(|(now, earlier)| now.saturating_sub(*earlier));
    let small = |n| u32::try_from(n).unwrap_or(u32::MAX);
    (0..=u8::MAX)
        .zip(new)
        .filter(|(_, n)| *n > 0)
        .map(|(slot, n)| (slot, small(n)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometries_stand_by_their_size() {
        let mut geometries = ["unknown", "1G", "system", "64K", "2M", "4K", "16G"];
        geometries.sort_by_key(|geometry| order(geometry));
        assert_eq!(
            geometries,
            ["system", "4K", "64K", "2M", "1G", "16G", "unknown"]
        );
    }
}
