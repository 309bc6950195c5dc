//! The probe families. [`FAMILIES`] is the only list of them; everything else (loading, metrics, documentation,
//! what `check` says) follows from it.

pub mod gup;
pub mod health;
pub mod holders;
pub mod kernel_pages;
pub mod memremap;
pub mod pagemap;
pub mod process;
pub mod self_cost;
pub mod session;
pub mod standing;
pub mod vmemmap;

pub(crate) mod geometry;
pub mod live;
mod maps;
#[cfg(test)]
mod series;
pub mod sweep;

use anyhow::Result;

use crate::{
    load::Probes,
    snapshot::{Metric, Sample, Snapshot},
};

/// A room: the probe points and metrics of one subject.
pub struct Family {
    pub name: &'static str,
    pub points: &'static [Point],
    pub metrics: &'static [&'static Metric],
    /// Reads the family's maps. The only code that touches map handles.
    pub read: fn(&Probes) -> Result<Vec<Sample>>,
}

impl Family {
    /// Whether a point, by its number, is of this room.
    #[must_use]
    pub fn has(&self, number: u32) -> bool {
        self.points.iter().any(|point| point.number == number)
    }
}

/// A place in the kernel where something is measured.
pub struct Point {
    /// Its programs in the object are `fentry_NAME`, `kprobe_NAME` and, if it has a return, `fexit_NAME` and
    /// `kretprobe_NAME`.
    pub name: &'static str,
    /// Its number, of `common::point`.
    pub number: u32,
    /// Kernel functions that it can sit on, newest first.
    pub symbols: &'static [&'static str],
    /// Whether the return is probed too.
    pub returns: bool,
    /// Parameters that the programs read: position and name. Checked against BTF, so that a function whose
    /// parameters have moved is reported instead of misread.
    pub reads: &'static [(usize, &'static [&'static str])],
    pub need: Need,
}

/// When a point must be attached for daxscope to tell the whole truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// On every kernel.
    Always,
    /// Wherever the kernel has the function.
    IfPresent,
    /// It tells more where it can be had; another point stands in for it.
    Extra,
    /// It reaches this point (by number) wherever it measures something, unless the compiler has copied that into it: not
    /// attached if that can be ruled out for all such points, needed like `IfPresent` if not.
    UnlessAllReach(u32),
    /// It stands in for these points (by number): not attached if one of them is, needed like `IfPresent` if not.
    InsteadOf(&'static [u32]),
}

/// All families, in the order in which they are attached and shown.
pub static FAMILIES: [&Family; 4] = [
    &memremap::FAMILY,
    &vmemmap::FAMILY,
    &gup::FAMILY,
    &pagemap::FAMILY,
];

/// Every metric there is, in the order in which they are shown.
pub fn metrics() -> impl Iterator<Item = &'static Metric> {
    let families = FAMILIES.into_iter().flat_map(|family| family.metrics);
    families
        .chain(kernel_pages::METRICS)
        .chain(health::METRICS)
        .chain(self_cost::METRICS)
        .chain(standing::METRICS)
        .chain(process::METRICS)
        .chain(crate::serve::METRICS)
        .copied()
}

/// Reads everything. A family that cannot be read is missing from the snapshot, which says so itself.
#[must_use]
pub fn read(probes: &Probes) -> Snapshot {
    let mut samples = vec![];
    for family in FAMILIES {
        samples.extend(health::timed(family, probes));
    }
    let beside = kernel_pages::read(probes, &samples);
    samples.extend(beside);
    samples.extend(self_cost::read(probes));
    samples.extend(health::read(probes));
    Snapshot { samples }
}

/// Reads all maps, whatever is in them.
///
/// # Errors
/// When one cannot be read.
pub fn readable(probes: &Probes) -> Result<()> {
    for family in FAMILIES {
        (family.read)(probes)?;
    }
    probes.known.measurable(probes)
}

/// All points with their families.
pub fn points() -> impl Iterator<Item = (&'static Family, &'static Point)> {
    FAMILIES
        .into_iter()
        .flat_map(|family| family.points.iter().map(move |point| (family, point)))
}
