//! The kernel's own account beside ours: where both count the same thing, how far they are apart.

use daxscope_common::point;

use crate::{
    kernel::vmstat::{self, ACQUIRED, COUNTERS, MEMMAP, RELEASED, Values},
    load::Probes,
    snapshot::{Kind, Metric, Sample, Value},
};

pub static METRICS: &[&Metric] = &[&COUNT, &DIFFERENCE];

static COUNT: Metric = Metric {
    name: "kernel_count",
    kind: Kind::Gauge,
    help: "A counter of the kernel that daxscope has a figure of its own for; in pages. Source: /proc/vmstat.",
    labels: &["counter"],
};
static DIFFERENCE: Metric = Metric {
    name: "kernel_count_difference",
    kind: Kind::Gauge,
    help: "The kernel's figure less ours, in pages. nr_memmap_pages: less what backs the struct pages of all pagemaps; \
           hot-added RAM is in the kernel's figure too, and kernels that over-count deduplicated pagemaps show by how \
           much. nr_foll_pin_acquired: since the start, less pages returned pinned; the kernel also counts what it takes \
           and gives back inside a request. nr_foll_pin_released: since the start, less unpinned pages. Each CPU of the \
           kernel adds up to a batch of changes before they show. Source: /proc/vmstat, pagemap_vmemmap_bytes, \
           gup_pages_total, unpinned_pages_total.",
    labels: &["counter"],
};

/// The kernel's counters when the probes had been attached.
pub struct Baseline(Values);

impl Baseline {
    #[must_use]
    pub fn now() -> Self {
        Self(vmstat::read())
    }
}

/// Compares with what the other rooms have read for the same snapshot.
#[must_use]
pub fn read(probes: &Probes, snapshot: &[Sample]) -> Vec<Sample> {
    let now = vmstat::read();
    let mut samples = vec![];
    for ((counter, now), start) in COUNTERS.into_iter().zip(now).zip(probes.baseline.0) {
        let Some(now) = now else { continue };
        samples.push(COUNT.count([counter], now));
        let kernel = match (counter, start) {
            (MEMMAP, _) => i128::from(now),
            (_, Some(start)) => i128::from(now) - i128::from(start),
            _ => continue,
        };
        if let Some(ours) = ours(probes, counter, snapshot) {
            let difference = Value::Real(real(kernel - i128::from(ours)));
            samples.push(DIFFERENCE.sample([counter], difference));
        }
    }
    samples
}

/// Our figure for a counter, in pages; `None` where there is none.
fn ours(probes: &Probes, counter: &str, snapshot: &[Sample]) -> Option<u64> {
    let sum = |name: &str, of: &dyn Fn(&[String]) -> bool| -> u64 {
        let of = snapshot
            .iter()
            .filter(|sample| sample.metric.name == name && of(&sample.labels));
        of.filter_map(|sample| match sample.value {
            Value::Count(count) => Some(count),
            _ => None,
        })
        .sum()
    };
    match counter {
        MEMMAP => {
            super::pagemap::backing(snapshot).map(|bytes| bytes >> probes.facts.layout.page_shift)
        }
        ACQUIRED => {
            probes.attached(point::PIN_USER_PAGES_FAST)?;
            Some(sum("gup_pages_total", &|labels| labels[0] == "pin"))
        }
        RELEASED => {
            probes.attached(point::UNPIN_USER_PAGES)?;
            Some(sum("unpinned_pages_total", &|_| true))
        }
        _ => None,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the format has only f64: exact to 2^53"
)]
fn real(pages: i128) -> f64 {
    pages as f64
}
