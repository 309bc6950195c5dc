//! What can get lost on the way, each counted: the index into the `LOST` map.

use crate::{ERRNOS, pod};

/// A call began and could not be remembered (map full or busy): it has no latency.
pub const START: u32 = 0;
/// A call ended whose beginning was not seen: it has no latency.
pub const UNMATCHED_RETURN: u32 = 1;
/// A call began on top of one whose end was never seen (a missed return probe).
pub const MISSED_RETURN: u32 = 2;
/// Kernel memory could not be read: a geometry became `unknown`, or a pagemap is missing.
pub const UNREADABLE: u32 = 3;
/// More geometries than slots: counted as `unknown`.
pub const GEOMETRY_SLOTS: u32 = 4;
/// A pagemap did not fit into the table: the gauges lack it.
pub const PAGEMAP: u32 = 5;
/// A pagemap has more ranges than are read: the gauges lack it.
pub const PAGEMAP_RANGES: u32 = 6;
/// A return probe that could not decide whether its call was nested in another: not counted.
pub const NESTING: u32 = 7;

/// A pin of device memory that could not be noted for its holder; in base pages.
pub const HOLD: u32 = 8;

/// The label value of each, in the order of the indices.
pub const NAMES: [&str; 9] = [
    "start",
    "unmatched_return",
    "missed_return",
    "unreadable",
    "geometry_slots",
    "pagemap",
    "pagemap_ranges",
    "nesting",
    "hold",
];

/// Hashes that programs insert into: the index into the `MAP_ERRORS` map.
pub const GUP_SPANS: u32 = 0;
pub const GUP_PAGEMAPS: u32 = 1;
pub const REGION_SPANS: u32 = 2;
pub const MEMREMAP_PAGEMAPS: u32 = 3;
pub const HOLDS: u32 = 4;

/// The names of the maps, in the order of the indices.
pub const MAPS: [&str; 5] = [
    "GUP_SPANS",
    "GUP_PAGEMAPS",
    "REGION_SPANS",
    "MEMREMAP_PAGEMAPS",
    "HOLDS",
];

/// Insertions into one map that failed, by errno.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapErrors {
    pub by_errno: [u64; ERRNOS],
}
const _: () = assert!(size_of::<MapErrors>() == 8 * ERRNOS);
pod!(MapErrors);
