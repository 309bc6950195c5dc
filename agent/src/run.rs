//! The verb `run`: attach, serve, detach.

mod live;

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context as _, Result};
use tokio::{
    io::unix::AsyncFd,
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    check::Verdicts,
    cli::RunArgs,
    inventory::{Source, Survey},
    kernel::Kernel,
    load::{self, Probes},
    probes::{health, self_cost},
    serve,
};

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When the address cannot be listened on, or no probe can be attached.
pub fn run(args: &RunArgs) -> Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?
        .block_on(serve_until_stopped(args))
}

async fn serve_until_stopped(args: &RunArgs) -> Result<ExitCode> {
    // Before anything is loaded: a taken port costs nothing then.
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!(
            "cannot listen on {}: choose another address with --listen, or stop what uses it",
            args.listen
        )
    })?;
    let mut kernel = Kernel::read(args.probes.btf.as_deref())?;
    let mut survey = Survey::open(&kernel);
    let options = load::Options {
        choice: args.probes.choice(),
        log: args.bpf_log,
        holders: args.track_holders,
        latency: !args.no_latency,
        session: None,
    };
    let mut probes = load::load(&mut kernel, Some(&mut survey), &options)?;
    drop(kernel);
    report(&probes)?;
    probes.adopt(survey)?;
    inventory(&probes);
    if args.self_cost {
        match self_cost::enable() {
            Ok(statistics) => probes.statistics = Some(statistics),
            Err(error) => log::warn!("daxscope_program_* is missing: {error:#}"),
        }
    }
    if args.bpf_log {
        // SAFETY: the logger owns its file descriptor, and keeps it open as long as it lives.
        let mut logger = unsafe { AsyncFd::register(probes.logger()?) }?;
        tokio::spawn(async move {
            while let Ok(mut ready) = logger.readable_mut().await {
                ready.get_inner_mut().flush();
                ready.clear_ready();
            }
        });
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stopped = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    log::info!("listening on {}", listener.local_addr()?);
    let probes = Arc::new(probes);
    load::give_back();
    stay_small();
    serve::serve(listener, probes.clone(), stopped).await;
    for loss in health::losses(&probes) {
        log::warn!("lost: {loss}");
    }
    log::info!("stopped, probes detached");
    Ok(ExitCode::SUCCESS)
}

/// Where huge pages are given unasked, the kernel would fill the holes that [`load::give_back`] made within a minute
/// (khugepaged). Not for a session: its command would inherit it, and could not use a dax device of 2M any more.
fn stay_small() {
    // SAFETY: no pointers. Where it fails, the process is larger, not wrong.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}

/// Logs what could not be found out of pagemaps that were there before.
fn inventory(probes: &Probes) {
    if let Some(Source::Sysfs { reason }) = probes.known.source() {
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
