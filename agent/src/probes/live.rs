//! The table of live pagemaps, which the programs of room memremap keep.

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use daxscope_common::memremap::{NO_SHIFT, PAGEMAPS, Pagemap};

use super::{geometry, maps};
use crate::inventory::{self, Range};

const TABLE: &str = "MEMREMAP_PAGEMAPS";
/// `BPF_NOEXIST`, include/uapi/linux/bpf.h.
const NOT_YET_THERE: u64 = 1;

/// The live pagemaps, by where they start.
///
/// # Errors
/// When the table cannot be read.
pub fn read(object: &Ebpf) -> Result<Vec<(u64, Pagemap)>> {
    let mut found: Vec<(u64, Pagemap)> = maps::hash(object, TABLE, PAGEMAPS)?;
    // One that is being written this moment: the next reading has it.
    found.retain(|(_, pagemap)| pagemap.struct_pages > 0);
    Ok(found)
}

/// Makes the table agree with what is there: notes pagemaps that were there before the table's programs were, and forgets
/// noted ones that have gone meanwhile. What came up under watch stays as it is. Returns whether anything had to be done.
///
/// # Errors
/// When the table cannot be written, or is full.
pub fn agree(object: &mut Ebpf, there: &[inventory::Pagemap], page_shift: u32) -> Result<bool> {
    let mut table = table(object)?;
    let mut changed = false;
    for pagemap in there {
        let start = pagemap.ranges[0].start;
        match table.insert(start, entry(pagemap, page_shift), NOT_YET_THERE) {
            Ok(()) => changed = true,
            Err(_) if table.get(&start, 0).is_ok() => {}
            Err(error) => return Err(error).context("cannot note a pagemap that is there"),
        }
    }
    let noted: Vec<u64> = table.keys().take(PAGEMAPS as usize).flatten().collect();
    for start in noted {
        let was_noted = table.get(&start, 0).is_ok_and(|entry| entry.born == 0);
        if was_noted && there.iter().all(|pagemap| pagemap.ranges[0].start != start) {
            // Fails when its own probe was faster.
            changed |= table.remove(&start).is_ok();
        }
    }
    Ok(changed)
}

fn table(object: &mut Ebpf) -> Result<HashMap<&mut MapData, u64, Pagemap>> {
    let map = object.map_mut(TABLE);
    let map = map.with_context(|| format!("the eBPF object has no map {TABLE}"))?;
    Ok(map.try_into()?)
}

fn entry(found: &inventory::Pagemap, page_shift: u32) -> Pagemap {
    let mut entry = Pagemap {
        pgmap: found.pgmap,
        struct_pages: found.struct_pages(page_shift),
        altmap_pages: found.altmap.and_then(|a| a.alloc).unwrap_or(0),
        ranges: u32::try_from(found.ranges.len()).unwrap_or(u32::MAX),
        shift: found.shift.as_ref().map_or(NO_SHIFT, |shift| *shift),
        kind: found.kind_value,
        altmap: u32::from(found.altmap.is_some()),
        ..Pagemap::ZERO
    };
    for (kept, range) in entry.kept.iter_mut().zip(&found.ranges) {
        *kept = [range.start, range.end];
    }
    entry
}

/// `vmemmap_shift` of a live pagemap, where it is known.
#[must_use]
pub fn shift(pagemap: &Pagemap) -> Option<u32> {
    (pagemap.shift != NO_SHIFT).then_some(pagemap.shift)
}

/// Label value of a geometry.
#[must_use]
pub fn geometry_of(shift: Option<u32>, page_shift: u32) -> String {
    shift.map_or_else(
        || "unknown".into(),
        |shift| geometry::label(page_shift + shift),
    )
}

/// The ranges of a live pagemap; `None` if it has none, or more than are kept.
#[must_use]
pub fn ranges(pagemap: &Pagemap) -> Option<Vec<Range>> {
    let kept = pagemap.kept.get(..pagemap.ranges as usize)?;
    if kept.is_empty() {
        return None;
    }
    let range = |&[start, end]: &[u64; 2]| Range { start, end };
    Some(kept.iter().map(range).collect())
}
