//! What the authors of the patch series measured, for comparison: by `gup_test -n 512 -w` on NVDIMMs of a machine of which
//! no more is told. Base pages are what was before it, 2M what came of it.

/// One of their figures: milliseconds for all of a region, with base pages and with a geometry of 2M.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reported {
    pub entry: &'static str,
    pub mebibytes: u64,
    /// Whether struct pages were on the device.
    pub altmap: bool,
    pub pin_ms: Option<[f64; 2]>,
    pub unpin_ms: Option<[f64; 2]>,
    pub source: &'static str,
}

/// The geometries of the pairs.
pub const GEOMETRIES: [&str; 2] = ["4K", "2M"];

/// Message 20210827145819.16471-1, patch "grab head page refcount once".
const V4: &str = "v4 08/14 (2021-08-27), not merged so";
const MERGED: &str = "commit 14606001efb4 (5.17)";

const GET: &str = "get_user_pages_fast";
const PIN: &str = "pin_user_pages_fast";

pub const ALL: [Reported; 12] = [
    taken(GET, 16384, false, [59.0, 6.1]),
    taken(PIN, 16384, false, [87.0, 6.2]),
    taken(GET, 16384, true, [494.0, 9.0]),
    taken(PIN, 16384, true, [494.0, 10.0]),
    taken(GET, 129_022, false, [492.0, 49.0]),
    taken(PIN, 129_022, false, [493.0, 50.0]),
    taken(GET, 127_004, true, [3910.0, 70.0]),
    taken(PIN, 127_004, true, [3970.0, 74.0]),
    merged(16384, false, None, [71.0, 22.0]),
    merged(16384, true, Some([524.0, 127.0]), [525.0, 71.0]),
    merged(129_022, false, None, [513.0, 188.0]),
    merged(127_004, true, Some([4100.0, 1000.0]), [4120.0, 563.0]),
];

const fn taken(entry: &'static str, mebibytes: u64, altmap: bool, pin_ms: [f64; 2]) -> Reported {
    Reported {
        entry,
        mebibytes,
        altmap,
        pin_ms: Some(pin_ms),
        unpin_ms: None,
        source: V4,
    }
}

const fn merged(
    mebibytes: u64,
    altmap: bool,
    pin_ms: Option<[f64; 2]>,
    unpin_ms: [f64; 2],
) -> Reported {
    Reported {
        entry: PIN,
        mebibytes,
        altmap,
        pin_ms,
        unpin_ms: Some(unpin_ms),
        source: MERGED,
    }
}
