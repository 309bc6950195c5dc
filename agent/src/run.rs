//! The verb `run`: read everything, bind, attach, prove it, give up privileges, serve, detach.

mod attach;
mod live;
mod notify;
mod reload;
mod self_test;

use std::{
    os::fd::{FromRawFd as _, OwnedFd},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use listenfd::ListenFd;
use tokio::signal::unix::{SignalKind, signal};

use self::{live::Daemon, notify::Notify};
use crate::{
    config::{self, Config, Effective, RunArgs},
    confine::{self, Layer},
    load::Probes,
    probes::{health, standing::Standing},
    serve::{Server, listener::Listener, web::Web},
};

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When its configuration cannot be used ([`config::Error`]), the address cannot be listened on, or no probe can be attached.
pub fn run(args: &RunArgs) -> Result<ExitCode> {
    let effective = config::resolve(args)?;
    let web = effective.web()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // For passwords to be checked on.
        .max_blocking_threads(4)
        .build()
        .context("cannot start the asynchronous runtime")?
        .block_on(serve_until_stopped(args, effective, web))
}

async fn serve_until_stopped(
    args: &RunArgs,
    effective: Effective,
    web: Option<Web>,
) -> Result<ExitCode> {
    let mut config = effective.config.clone();
    let handed_over = handed_over()?;
    if !handed_over.is_empty() {
        config.listen = handed_over.iter().map(|it| it.at().clone()).collect();
    }
    effective.may_serve(&config.listen, web.as_ref())?;
    // Before anything is loaded: a taken port costs nothing then.
    let listeners = if handed_over.is_empty() {
        let bind = |at| Listener::bind(at, config.socket_mode);
        config.listen.iter().map(bind).collect::<Result<_>>()?
    } else {
        handed_over
    };
    let notify = Notify::open();
    let signal = |kind| signal(kind).context("cannot be told of signals");
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hangup = signal(SignalKind::hangup())?;
    let stopped = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let probes = attach::attach(&config)?;
    let self_test = self_test::self_test(&probes).map_err(|error| format!("{error:#}"));
    match &self_test {
        Ok(words) => log::info!("self-test: {words}"),
        Err(error) => log::warn!("the self-test failed: {error}"),
    }
    let layers = confined(&probes, &config, &effective, web.as_ref());
    let standing = Standing::new(&probes, self_test, layers);
    let daemon = Arc::new(Daemon { probes, standing });
    for words in web.iter().flat_map(Web::warnings) {
        log::warn!("{words}");
    }
    for listener in &listeners {
        log::info!("listening on {}", listener.at());
    }
    let server = Server::new(&config, web, daemon.clone());
    notify.ready(&daemon.status());
    let told = (&notify, &*daemon);
    tokio::select! {
        () = server.serve(listeners, stopped) => {}
        () = notify::watched(told.0, told.1) => {}
        () = reload::reloads(hangup, args, effective, &server, told) => {}
    }
    notify.stopping();
    for loss in health::losses(&daemon.probes) {
        log::warn!("lost: {loss}");
    }
    log::info!("stopped, probes detached");
    Ok(ExitCode::SUCCESS)
}

/// The sockets of a socket unit; they take the place of `listen`.
fn handed_over() -> Result<Vec<Listener>> {
    let mut sockets = ListenFd::from_env();
    let mut listeners = vec![];
    for index in 0..sockets.len() {
        let socket = sockets
            .take_raw_fd(index)
            .context("cannot take a socket from systemd")?;
        if let Some(socket) = socket {
            // SAFETY: handed over to this process by its starter, and taken once.
            let socket = unsafe { OwnedFd::from_raw_fd(socket) };
            listeners.push(Listener::adopt(socket)?);
        }
    }
    Ok(listeners)
}

/// Gives up privileges, and logs how far that went.
fn confined(
    probes: &Probes,
    config: &Config,
    effective: &Effective,
    web: Option<&Web>,
) -> Vec<Layer> {
    if !config.drop {
        log::warn!("privileges are kept (--no-drop): what serves clients can do all that root can");
        return confine::left_out();
    }
    let files = reload::folders(effective, web);
    let layers = confine::confine(&confine::Needs { probes, files });
    for Layer { name, state } in &layers {
        match state {
            Ok(words) => log::info!("{name}: {words}"),
            Err(reason) => log::warn!("{name}: not in force: {reason}"),
        }
    }
    layers
}
