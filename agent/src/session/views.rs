//! A table as people and programs read it: the same figures in each view.

pub mod csv;
pub mod flame;
pub mod folded;
pub(super) mod grid;
pub mod heat;
pub mod hist;
pub mod json;
mod ranges;
pub mod words;

use super::tally::Tally;

/// Percentiles, as a share of the timed calls.
pub const P50: f64 = 0.5;
pub const P90: f64 = 0.9;
pub const P99: f64 = 0.99;
pub const P999: f64 = 0.999;

/// Name, with the unit in it, and value; `None` where no call was timed.
pub type Figures = [(&'static str, Option<u64>); 13];

/// The figures of a group as plain numbers, in the order of columns.
#[must_use]
pub fn figures(tally: &Tally) -> Figures {
    let timed = tally.timed();
    [
        ("calls", Some(tally.calls)),
        ("pages", Some(tally.pages)),
        ("errors", Some(tally.errors)),
        ("sampled", Some(tally.sampled)),
        ("timed", Some(timed)),
        ("overflow", Some(tally.overflow())),
        ("p50_ns", tally.percentile(P50)),
        ("p90_ns", tally.percentile(P90)),
        ("p99_ns", tally.percentile(P99)),
        ("p999_ns", tally.percentile(P999)),
        ("max_ns", (timed > 0).then_some(tally.max_ns)),
        ("ns", Some(tally.ns)),
        ("pages_per_second", tally.pages_per_second()),
    ]
}
