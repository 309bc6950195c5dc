//! What the programs themselves cost, as the kernel measures it while it is asked to. It reads its clock twice in every run
//! of every BPF program on the host then, so only `run --self-cost` asks.

use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result};
use aya::sys::{Stats, enable_stats};

use crate::{
    load::Probes,
    snapshot::{Kind, Metric, Sample, Value},
};

pub static METRICS: &[&Metric] = &[&RUN_TIME, &RUNS];

static RUN_TIME: Metric = Metric {
    name: "program_run_seconds_total",
    kind: Kind::Counter,
    help: "Time inside a program, in seconds, with `run --self-cost`. What the kernel does to get into it and out again is \
           not in it. Source: bpf_prog_info.run_time_ns.",
    labels: &["program"],
};
static RUNS: Metric = Metric {
    name: "program_runs_total",
    kind: Kind::Counter,
    help: "Runs of a program, with `run --self-cost`. Source: bpf_prog_info.run_cnt.",
    labels: &["program"],
};

/// Asks the kernel to measure; it does until the descriptor is closed (`BPF_ENABLE_STATS`, kernel/bpf/syscall.c, 5.8).
///
/// # Errors
/// When the kernel refuses, with what it needs.
pub fn enable() -> Result<OwnedFd> {
    enable_stats(Stats::RunTime)
        .context("the kernel does not measure programs: it needs CAP_SYS_ADMIN, and BPF_ENABLE_STATS (Linux 5.8)")
}

/// The runs of the attached programs; nothing while nobody of ours asks for it.
#[must_use]
pub fn read(probes: &Probes) -> Vec<Sample> {
    if probes.statistics.is_none() {
        return vec![];
    }
    let runs = probes.runs().flat_map(|(program, runs)| {
        [
            RUN_TIME.sample([&program], Value::Real(seconds(runs.nanoseconds))),
            RUNS.count([&program], runs.count),
        ]
    });
    runs.collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the format has only f64: exact to 2^53"
)]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
