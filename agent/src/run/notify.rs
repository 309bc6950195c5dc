//! Telling systemd how it goes (`sd_notify(3)`). The socket is connected once, so that no other is needed after privileges are
//! given up.

use std::{
    env,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::Duration,
};

use super::live::Daemon;
use crate::{kernel::clock, text};

/// The way to whoever started us; silent where nobody asked.
pub struct Notify {
    socket: Option<UnixDatagram>,
}

impl Notify {
    /// Connects to `$NOTIFY_SOCKET`, where it is set.
    #[must_use]
    pub fn open() -> Self {
        let socket = env::var("NOTIFY_SOCKET").ok().and_then(|path| {
            let connected = connect(&path);
            connected
                .inspect_err(|error| log::warn!("cannot tell systemd anything by {path}: {error}"))
                .ok()
        });
        Self { socket }
    }

    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\n{}", line(status)));
    }

    pub fn status(&self, status: &str) {
        self.send(&line(status));
    }

    /// That we live, for `WatchdogSec=`.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// That the configuration is read again; [`Self::ready`] ends it.
    pub fn reloading(&self) {
        let now = clock::monotonic() / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn send(&self, state: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(state.as_bytes())
        {
            log::debug!("cannot tell systemd anything: {error}");
        }
    }
}

/// What people read must not make another variable, which would be on the next line.
fn line(status: &str) -> String {
    format!("STATUS={}", text::escaped(status))
}

fn connect(path: &str) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match path.strip_prefix('@') {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(path)?,
    }
    // A service manager that does not read must not stop us.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// How often systemd wants to hear that we live: half of `WatchdogSec=`, if that is meant for us.
fn watchdog() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let whose = number("WATCHDOG_PID");
    let ours = whose.is_none_or(|pid| pid == u64::from(std::process::id()));
    let limit = number("WATCHDOG_USEC").filter(|_| ours)?;
    Some(Duration::from_micros(limit / 2).max(Duration::from_millis(1)))
}

/// Tells systemd that we live, as often as it wants to hear it, and how we do; never ends.
pub async fn watched(notify: &Notify, daemon: &Daemon) {
    let Some(every) = watchdog() else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(every);
    loop {
        ticks.tick().await;
        notify.alive();
        notify.status(&daemon.status());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_variable() {
        let (ours, theirs) = UnixDatagram::pair().expect("sockets");
        let notify = Notify { socket: Some(ours) };
        notify.ready("degraded: EPERM\nMAINPID=1");
        let mut told = [0; 100];
        let n = theirs.recv(&mut told).expect("a message");
        assert_eq!(&told[..n], b"READY=1\nSTATUS=degraded: EPERM\\x0aMAINPID=1");
    }
}
