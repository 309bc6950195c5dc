//! The bound on the series of a host, held against everything that the rooms can ever say.

use std::collections::BTreeSet;

use daxscope_common::hist::{Hist, SLOTS};

use super::{
    gup, health, kernel_pages, memremap, metrics, pagemap, process, self_cost, standing, vmemmap,
};
use crate::{
    metrics::encode,
    snapshot::{Metric, Sample, Snapshot},
};

/// Series that are of no device; the lines of a histogram each count.
const HOST: usize = 600;
const DEVICE: usize = 40;

/// Every geometry of x86-64 (`dax_align_valid`, drivers/dax/dax-private.h), and what is none.
pub const GEOMETRIES: [&str; 5] = ["system", "unknown", "4K", "2M", "1G"];
pub const SOME: Hist = Hist {
    sum: 1,
    slots: [1; SLOTS],
};

/// The lines of an exposition that are series, and the names of their metrics.
fn series(samples: Vec<Sample>) -> (usize, BTreeSet<&'static str>) {
    let names = samples.iter().map(|sample| sample.metric.name).collect();
    let text = encode(metrics(), Snapshot { samples }).expect("encodes");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    (lines.count(), names)
}

#[test]
fn a_host_has_600_series_and_each_device_40() {
    let rooms = [
        gup::worst(),
        memremap::worst(),
        vmemmap::worst(),
        kernel_pages::worst(),
        health::worst(),
        pagemap::worst_host(),
        standing::worst(),
        process::worst(),
        crate::serve::worst(),
    ];
    let (host, mut known) = series(rooms.concat());
    let (device, of_device) = series(pagemap::worst_device());
    println!("{host} of {HOST} for a host, {device} of {DEVICE} for a device");
    assert!(host <= HOST, "{host} series for a host");
    assert!(device <= DEVICE, "{device} series for a device");

    known.extend(of_device);
    // Two for each program, only while somebody measures what the programs cost.
    known.extend(self_cost::METRICS.iter().map(|metric| metric.name));
    let forgotten = metrics().map(|metric: &Metric| metric.name);
    let forgotten: Vec<_> = forgotten.filter(|name| !known.contains(name)).collect();
    assert!(forgotten.is_empty(), "no room's `worst` has {forgotten:?}");
}
