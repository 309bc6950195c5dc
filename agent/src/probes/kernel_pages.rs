//! The kernel's own account beside ours: where both count the same thing, how far they are apart.

use daxscope_common::point;

use super::pagemap;
use crate::{
    inventory::Source,
    kernel::vmstat::{self, ACQUIRED, COUNTERS, MEMMAP, RELEASED, Values},
    load::Probes,
    snapshot::{Kind, Metric, Sample, Value},
};

pub static METRICS: &[&Metric] = &[&MEMORY, &COUNT, &DIFFERENCE];

static MEMORY: Metric = Metric {
    name: "memory_bytes",
    kind: Kind::Gauge,
    help: "RAM of the host that the kernel manages (MemTotal), in bytes: what pagemap_vmemmap_bytes is a share of. Source: \
           sysinfo(2).",
    labels: &[],
};
static COUNT: Metric = Metric {
    name: "kernel_pages",
    kind: Kind::Gauge,
    help: "A counter of the kernel that daxscope has a figure of its own for; in pages. Source: /proc/vmstat.",
    labels: &["counter"],
};
static DIFFERENCE: Metric = Metric {
    name: "kernel_pages_difference",
    kind: Kind::Gauge,
    help: "The kernel's figure less ours, in pages. nr_memmap_pages: less what backs the struct pages of all pagemaps; \
           hot-added RAM is in the kernel's figure too, and kernels that over-count deduplicated pagemaps show by how \
           much. nr_foll_pin_acquired: since the start, less pages returned pinned; the kernel also counts what it takes \
           and gives back inside a request. nr_foll_pin_released: since the start, less unpinned pages. Each CPU of the \
           kernel adds up to a batch of changes before they show. Source: /proc/vmstat, pagemap_vmemmap_bytes, \
           gup_pages_total, unpinned_pages_total.",
    labels: &["counter"],
};

/// Both accounts when counting began.
#[derive(Default)]
pub struct Baseline {
    kernel: Values,
    ours: [u64; COUNTERS.len()],
}

impl Baseline {
    #[must_use]
    pub fn of(probes: &Probes) -> Self {
        let samples = (super::gup::FAMILY.read)(probes).unwrap_or_default();
        Self {
            kernel: vmstat::read(),
            ours: COUNTERS.map(|counter| pins(counter, &samples)),
        }
    }
}

/// Compares with what the other rooms have read for the same snapshot.
#[must_use]
pub fn read(probes: &Probes, snapshot: &[Sample]) -> Vec<Sample> {
    let Baseline { kernel, ours } = &probes.baseline;
    let mut samples = vec![];
    samples.extend(memory().map(|bytes| MEMORY.count([], bytes)));
    let each = COUNTERS.into_iter().zip(vmstat::read());
    for ((counter, now), (kernel, ours)) in each.zip(kernel.iter().zip(ours)) {
        let Some(now) = now else { continue };
        samples.push(COUNT.count([counter], now));
        let (theirs, ours) = match (counter, kernel) {
            // The kernel counts the struct pages of what sysfs did not tell, too.
            (MEMMAP, _) if sysfs_left_some_out(probes) => continue,
            (MEMMAP, _) => match pagemap::backing(snapshot) {
                Some(bytes) => (now, bytes >> probes.facts.layout.page_shift),
                None => continue,
            },
            (_, Some(start)) if counts_pins(probes) => (
                now.wrapping_sub(*start),
                pins(counter, snapshot).wrapping_sub(*ours),
            ),
            _ => continue,
        };
        let difference = Value::Real(real(i128::from(theirs) - i128::from(ours)));
        samples.push(DIFFERENCE.sample([counter], difference));
    }
    samples
}

/// RAM in bytes; `None` where the system call is refused.
fn memory() -> Option<u64> {
    // SAFETY: a plain C struct of integers, for which zero is a value.
    let mut info = unsafe { std::mem::zeroed::<libc::sysinfo>() };
    // SAFETY: the kernel fills in the struct, which outlives the call.
    let result = unsafe { libc::sysinfo(&raw mut info) };
    (result == 0).then(|| info.totalram * u64::from(info.mem_unit))
}

fn sysfs_left_some_out(probes: &Probes) -> bool {
    matches!(probes.known.source(), Some(Source::Sysfs { .. }))
        && !probes.known.skipped().is_empty()
}

/// Whether the ways in and out that matter most are watched: without them there is nothing to compare.
fn counts_pins(probes: &Probes) -> bool {
    let both = [point::PIN_USER_PAGES_FAST, point::UNPIN_USER_PAGES];
    both.iter().all(|point| probes.attached(*point).is_some())
}

/// Our figure for a counter of pins, in pages.
fn pins(counter: &str, snapshot: &[Sample]) -> u64 {
    let of = |sample: &&Sample| match counter {
        ACQUIRED => sample.metric.name == "gup_pages_total" && sample.labels[0] == "pin",
        RELEASED => sample.metric.name == "unpinned_pages_total",
        _ => false,
    };
    let counts = snapshot.iter().filter(of);
    counts
        .filter_map(|sample| match sample.value {
            Value::Count(count) => Some(count),
            _ => None,
        })
        .sum()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the format has only f64: exact to 2^53"
)]
fn real(pages: i128) -> f64 {
    pages as f64
}

/// All that a host can have.
#[cfg(test)]
pub(super) fn worst() -> Vec<Sample> {
    let of = |counter| [COUNT.count([counter], 1), DIFFERENCE.count([counter], 1)];
    let memory = MEMORY.count([], 1);
    let counters = COUNTERS.into_iter().flat_map(of);
    counters.chain([memory]).collect()
}
