//! Names of the geometry slots.

use anyhow::Result;
use daxscope_common::geometry::{FIRST, SLOTS, SYSTEM, UNKNOWN};

use super::maps;
use crate::load::Probes;

/// The slots in use at one moment, with their label values.
pub struct Geometries {
    /// Slot and label value of each.
    pub slots: Vec<(u32, String)>,
}

impl Geometries {
    pub fn read(probes: &Probes) -> Result<Self> {
        let mut slots = vec![
            (SYSTEM, "system".to_owned()),
            (UNKNOWN, "unknown".to_owned()),
        ];
        let owners: Vec<(u32, u32)> =
            maps::hash(probes.object(), "GEOMETRY_OWNERS", SLOTS.try_into()?)?;
        let page_shift = probes.facts.layout.page_shift;
        slots.extend(
            owners
                .into_iter()
                .filter(|(slot, _)| *slot >= FIRST)
                .map(|(slot, shift)| (slot, label(page_shift + shift))),
        );
        Ok(Self { slots })
    }

    /// Label values of geometries that a device may get but none has had yet: their series start at 0.
    pub fn not_yet(&self, probes: &Probes) -> Vec<String> {
        let page_shift = probes.facts.layout.page_shift;
        let mut labels: Vec<_> = probes
            .facts
            .shifts
            .iter()
            .map(|shift| label(page_shift + shift))
            .collect();
        labels.retain(|label| self.slots.iter().all(|(_, used)| used != label));
        labels
    }
}

/// `4K`, `64K`, `2M`, `1G`: a power of two of bytes.
pub fn label(power: u32) -> String {
    const UNITS: [&str; 6] = ["", "K", "M", "G", "T", "P"];
    let unit = (power / 10).min(5);
    format!("{}{}", 1u64 << (power - 10 * unit), UNITS[unit as usize])
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn labels_are_sizes() {
        let labels: Vec<_> = [12, 14, 16, 21, 22, 25, 30, 34].map(label).into();
        assert_eq!(labels, ["4K", "16K", "64K", "2M", "4M", "32M", "1G", "16G"]);
    }
}
