//! From a configuration to probes that count: loads and attaches what this kernel allows, and logs what is missing.

use anyhow::Result;
use tokio::io::unix::AsyncFd;

use crate::{
    check::Verdicts,
    config::Config,
    inventory::{self, Survey},
    kernel::Kernel,
    load::{self, Probes},
    probes::self_cost,
};

/// Everything that is to be attached. To be called where tokio runs.
///
/// # Errors
/// When nothing can be attached at all.
pub fn attach(config: &Config) -> Result<Probes> {
    let mut kernel = Kernel::read(config.btf.as_deref())?;
    let mut survey = Survey::open(&kernel);
    let options = load::Options {
        choice: config.mechanism,
        log: config.bpf_log,
        holders: config.track_holders,
        latency: config.latency,
        session: None,
    };
    let mut probes = load::load(&mut kernel, Some(&mut survey), &options)?;
    drop(kernel);
    report(&probes)?;
    probes.adopt(survey)?;
    inventory(&probes);
    if config.self_cost {
        match self_cost::enable() {
            Ok(statistics) => probes.statistics = Some(statistics),
            Err(error) => log::warn!("daxscope_program_* is missing: {error:#}"),
        }
    }
    if config.bpf_log {
        // SAFETY: the logger owns its file descriptor, and keeps it open as long as it lives.
        let mut logger = unsafe { AsyncFd::register(probes.logger()?) }?;
        tokio::spawn(async move {
            while let Ok(mut ready) = logger.readable_mut().await {
                ready.get_inner_mut().flush();
                ready.clear_ready();
            }
        });
    }
    load::give_back();
    stay_small();
    Ok(probes)
}

/// Where huge pages are given unasked, the kernel would fill the holes that [`load::give_back`] made within a minute
/// (khugepaged). Not for a session: its command would inherit it, and could not use a dax device of 2M any more.
fn stay_small() {
    // SAFETY: no pointers. Where it fails, the process is larger, not wrong.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

/// Logs what could not be found out of pagemaps that were there before.
fn inventory(probes: &Probes) {
    if let Some(inventory::Source::Sysfs { reason }) = probes.known.source() {
        log::warn!(
            "pagemaps that were there before are read from sysfs, not from the kernel: {reason}"
        );
    }
    for reason in probes.known.skipped() {
        log::warn!("a pagemap is left out: {reason}");
    }
}

/// Logs what is missing; an error if that is everything.
fn report(probes: &Probes) -> Result<()> {
    let verdicts = Verdicts(&probes.verdicts);
    verdicts.ensure_any()?;
    for verdict in verdicts.missing() {
        log::warn!(
            "not attached: {} {}: {}",
            verdict.family,
            verdict.point,
            verdict.reason
        );
    }
    if let Some(reason) = verdicts.imprecise() {
        log::warn!("calls may be missed: {reason}");
    }
    if let Some(reason) = &probes.facts.geometry_unknown {
        log::warn!("the geometry of pages cannot be told: {reason}");
    }
    log::info!("{} probe points attached", verdicts.attached());
    Ok(())
}
