//! The verb `run`: attach, serve, detach.

mod live;
mod notify;
mod self_test;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use tokio::{
    io::unix::AsyncFd,
    signal::unix::{SignalKind, signal},
};

use crate::{
    check::Verdicts,
    config::{self, Config, RunArgs},
    confine::{self, Layer},
    inventory::{self, Survey},
    kernel::Kernel,
    load::{self, Probes},
    probes::{health, self_cost, standing::Standing},
    serve::{self, Server, listener::Listener, source::Source as _, web::Web},
};

use self::{live::Daemon, notify::Notify};

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When its configuration cannot be used ([`config::Error`]), the address cannot be listened on, or no probe can be attached.
pub fn run(args: &RunArgs) -> Result<ExitCode> {
    let effective = config::resolve(args)?;
    let config = &effective.config;
    let web = config.web_config.as_deref().map(Web::read).transpose();
    let web = web.map_err(|error| config::Error::new(format!("{error:#}")))?;
    if let Some(words) = serve::insecure(&config.listen, web.as_ref())
        && !config.allow_insecure_remote
    {
        return Err(config::Error::new(words).into());
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // For passwords to be checked on.
        .max_blocking_threads(4)
        .build()
        .context("cannot start the asynchronous runtime")?
        .block_on(serve_until_stopped(config, web))
}

async fn serve_until_stopped(config: &Config, web: Option<Web>) -> Result<ExitCode> {
    // Before anything is loaded: a taken port costs nothing then.
    let bind = |at| Listener::bind(at, config.socket_mode);
    let listeners: Vec<_> = config.listen.iter().map(bind).collect::<Result<_>>()?;
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
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stopped = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let notify = Notify::open();
    let self_test = self_test::self_test(&probes).map_err(|error| format!("{error:#}"));
    match &self_test {
        Ok(words) => log::info!("self-test: {words}"),
        Err(error) => log::warn!("the self-test failed: {error}"),
    }
    load::give_back();
    stay_small();
    let layers = confined(&probes, config.drop, folders(config, web.as_ref()));
    let standing = Standing::new(&probes, self_test, layers);
    let daemon = Arc::new(Daemon { probes, standing });
    for words in web.iter().flat_map(Web::warnings) {
        log::warn!("{words}");
    }
    for listener in &listeners {
        log::info!("listening on {}", listener.at());
    }
    notify.ready(&status(&daemon));
    let server = Server::new(config, web, daemon.clone());
    let serving = server.serve(listeners, stopped);
    tokio::select! {
        () = serving => {}
        () = watched(&notify, &daemon) => {}
    }
    notify.stopping();
    for loss in health::losses(&daemon.probes) {
        log::warn!("lost: {loss}");
    }
    log::info!("stopped, probes detached");
    Ok(ExitCode::SUCCESS)
}

/// Where the web configuration is read again when it changes: folders, since files are replaced, not written to.
fn folders(config: &Config, web: Option<&Web>) -> Vec<PathBuf> {
    let files = web.into_iter().flat_map(Web::files);
    let files = files.chain(config.web_config.as_deref());
    files.filter_map(Path::parent).map(Path::to_owned).collect()
}

/// Gives up privileges, and logs how far that went.
fn confined(probes: &Probes, drop: bool, files: Vec<PathBuf>) -> Vec<Layer> {
    if !drop {
        log::warn!("privileges are kept (--no-drop): what serves clients can do all that root can");
        return confine::left_out();
    }
    let layers = confine::confine(&confine::Needs { probes, files });
    for Layer { name, state } in &layers {
        match state {
            Ok(words) => log::info!("{name}: {words}"),
            Err(reason) => log::warn!("{name}: not in force: {reason}"),
        }
    }
    layers
}

/// Tells systemd that we live, as often as it wants to hear it, and how we do; never ends.
async fn watched(notify: &Notify, daemon: &Daemon) {
    let Some(every) = notify::watchdog() else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(every);
    loop {
        ticks.tick().await;
        notify.alive();
        notify.status(&status(daemon));
    }
}

/// A line for `systemctl status`.
fn status(daemon: &Daemon) -> String {
    let attached = Verdicts(&daemon.probes.verdicts).attached();
    let readiness = daemon.readiness();
    let losses = readiness.losses.len();
    let losses = match losses {
        0 => "nothing lost".to_owned(),
        _ => readiness.losses.join(", "),
    };
    if readiness.ready() {
        return format!("{attached} probe points attached, {losses}");
    }
    format!("degraded: {}; {losses}", readiness.reasons.join("; "))
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
