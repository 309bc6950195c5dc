//! Pagemaps that are being taken down this moment.

use std::collections::HashMap;

use anyhow::Result;
use daxscope_common::{
    point::MEMUNMAP_PAGES,
    span::{REGION_IN_FLIGHT, Span},
};

use super::super::maps;
use crate::{kernel::clock::monotonic, load::Probes};

/// For how long each has been going, in seconds, by where it starts.
pub fn read(probes: &Probes) -> Result<HashMap<u64, f64>> {
    let spans: Vec<(u64, Span)> = maps::hash(probes.object(), "REGION_SPANS", REGION_IN_FLIGHT)?;
    let going = spans
        .into_iter()
        .filter(|(_, span)| span.point == MEMUNMAP_PAGES);
    let now = monotonic();
    Ok(going
        .map(|(_, span)| (span.arg, seconds(now.saturating_sub(span.start))))
        .collect())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "to the microsecond for three hundred years"
)]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
