//! The pagemaps that there must be, by the devices that sysfs shows: where the kernel's own list cannot be read. It does
//! not know pagemaps without a device in sysfs, and measures nothing.

use super::{
    Altmap, Pagemap, Range,
    names::{Device, Map, Names},
};
use crate::kernel::facts::Facts;

/// Ranges of `memremap_pages` end at a multiple of it on x86-64: `memremap_compat_align` (mm/memremap.c) is the size of
/// a subsection, 2 MiB (include/linux/mmzone.h).
const SUBSECTION: u64 = 2 << 20;

/// The pagemaps, and why a device was left out that may have one.
#[must_use]
pub fn pagemaps(names: &Names, facts: &Facts) -> (Vec<Pagemap>, Vec<String>) {
    let (mut pagemaps, mut skipped) = (vec![], vec![]);
    for device in names.devices() {
        match pagemap(device, facts) {
            Ok(found) => pagemaps.extend(found),
            Err(reason) => skipped.push(format!("{}: {reason}", device.device)),
        }
    }
    pagemaps.sort_by_key(|pagemap| pagemap.ranges[0]);
    (pagemaps, skipped)
}

/// The pagemap of a device, if it has one.
fn pagemap(device: &Device, facts: &Facts) -> Result<Option<Pagemap>, String> {
    if device.driver.is_none() {
        return Ok(None);
    }
    let (kind, shift) = match device.mode.as_str() {
        "devdax" => ("generic", shift(device, facts)),
        // Their pages are put together only while they are used, if at all (fs/dax.c, drivers/dax/fsdev.c).
        "fsdax" | "fsdev" => ("fs_dax", Ok(0)),
        // Depends on what brought up its region (ND_REGION_PAGEMAP, include/linux/libnvdimm.h).
        "raw" => return Err("sysfs does not tell whether a raw namespace has struct pages".into()),
        _ => return Ok(None),
    };
    let mut ranges = device.ranges.clone()?;
    if device.namespace.is_some() {
        for range in &mut ranges {
            trim(range, device.align);
        }
    }
    if ranges.is_empty() || ranges.iter().any(|range| range.start > range.end) {
        return Err("it spans nothing".into());
    }
    let value = facts.memory_types.iter().find(|(_, name)| name == kind);
    let altmap = (device.map == Some(Map::Dev)).then(|| Altmap {
        base_pfn: ranges[0].start >> facts.layout.page_shift,
        reserve: 0,
        free: 0,
        alloc: None,
    });
    let not_from_sysfs = || "sysfs does not tell it".to_owned();
    Ok(Some(Pagemap {
        pgmap: 0,
        ranges,
        kind: kind.into(),
        kind_value: value.map_or(0, |(value, _)| *value),
        shift,
        altmap,
        backing: Err(not_from_sysfs()),
        pins: Err(not_from_sysfs()),
    }))
}

/// The geometry of a devdax device is its alignment (`dev_dax_probe`, drivers/dax/device.c), where pagemaps have one.
fn shift(device: &Device, facts: &Facts) -> Result<u32, String> {
    let shifts = &facts.shifts;
    if shifts.is_empty() {
        return Err("without BTF it is not known whether pagemaps have a geometry".into());
    }
    if shifts == &[0] {
        return Ok(0);
    }
    let align = device.align.ok_or("sysfs does not tell its alignment")?;
    let known = shifts
        .iter()
        .find(|shift| 1u64.checked_shl(facts.layout.page_shift + **shift) == Some(align));
    known
        .copied()
        .ok_or_else(|| format!("its alignment of {align} bytes is no geometry"))
}

/// Cuts off what is left over at the end of a namespace (`end_trunc` of `nd_pfn_init`, `drivers/nvdimm/pfn_devs.c`).
fn trim(range: &mut Range, align: Option<u64>) {
    let align = align.unwrap_or(0).max(SUBSECTION);
    let end = range.end.saturating_add(1);
    range.end = (end - end % align).saturating_sub(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(mode: &str, align: u64, map: Map) -> Device {
        Device {
            device: "dax0.0".into(),
            namespace: Some("namespace0.0".into()),
            region: None,
            node: None,
            driver: Some("device_dax".into()),
            mode: mode.into(),
            align: Some(align),
            map: Some(map),
            ranges: Ok(vec![Range {
                start: 4 << 30,
                end: (6 << 30) + (300 << 20) - 1,
            }]),
        }
    }

    fn facts(shifts: &[u32]) -> Facts {
        let mut facts = Facts::read(Err(&anyhow::anyhow!("no BTF")));
        facts.shifts = shifts.to_vec();
        facts
    }

    fn only(device: Device, facts: &Facts) -> Result<Pagemap, Vec<String>> {
        let (mut pagemaps, skipped) = pagemaps(&Names::from(vec![device]), facts);
        pagemaps.pop().ok_or(skipped)
    }

    #[test]
    fn the_geometry_of_devdax_is_its_alignment() {
        let of = |mode, align, shifts: &[u32]| {
            let found = only(device(mode, align, Map::Mem), &facts(shifts));
            found.expect("a pagemap").shift
        };
        assert_eq!(of("devdax", 2 << 20, &[0, 9, 18]), Ok(9));
        assert_eq!(of("devdax", 1 << 30, &[0, 9, 18]), Ok(18));
        assert_eq!(of("devdax", 4096, &[0, 9, 18]), Ok(0));
        assert_eq!(of("devdax", 2 << 20, &[0]), Ok(0));
        assert_eq!(of("fsdax", 2 << 20, &[0, 9, 18]), Ok(0));
        assert!(of("devdax", 2 << 20, &[]).is_err());
        assert!(of("devdax", 16 << 20, &[0, 9, 18]).is_err());
    }

    #[test]
    fn what_is_too_short_for_the_alignment_is_cut_off() {
        let bytes = |align| {
            let found = only(device("devdax", align, Map::Dev), &facts(&[0, 9, 18]));
            let found = found.expect("a pagemap");
            assert!(found.altmap.is_some());
            found.ranges[0].bytes()
        };
        assert_eq!(bytes(4096), (2 << 30) + (300 << 20));
        assert_eq!(bytes(1 << 30), 2 << 30);
    }

    #[test]
    fn devices_without_a_pagemap() {
        let mut disabled = device("devdax", 4096, Map::Mem);
        disabled.driver = None;
        assert_eq!(only(disabled, &facts(&[0])), Err(vec![]));
        let sector = device("sector", 4096, Map::Mem);
        assert_eq!(only(sector, &facts(&[0])), Err(vec![]));
        let raw = only(device("raw", 4096, Map::Mem), &facts(&[0]));
        assert!(raw.expect_err("skipped")[0].starts_with("dax0.0: "));
        let mut hidden = device("devdax", 4096, Map::Mem);
        hidden.ranges = Err("for root".into());
        assert_eq!(
            only(hidden, &facts(&[0])),
            Err(vec!["dax0.0: for root".into()])
        );
    }
}
