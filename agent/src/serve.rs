//! HTTP: `/metrics`, `/healthz`, `/readyz`, `/holders` for this host only, and a page for people at `/`.
//!
//! A server must not be brought down, or slowed, by whoever can reach it: every connection has its place, its time and its size,
//! and what all of them may take is bounded by [`Limits`].

mod accepted;
mod answer;
mod connection;
mod connections;
mod counts;
mod current;
pub mod listener;
mod moment;
mod ready;
pub mod source;
mod watched;
pub mod web;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use tokio::{sync::Semaphore, task::JoinSet};

pub use self::counts::METRICS;
#[cfg(test)]
pub use self::counts::worst;
use self::{
    connections::Connections,
    counts::{Counts, Reason},
    current::Current,
    listener::Listener,
    moment::Moments,
    source::Source,
    web::Web,
};
use crate::{
    config::{Config, Limits, Listen},
    page::History,
};

/// Connections that are accepted before others get on: fewer than there are places, so that nobody is displaced who had no turn.
const AT_ONCE: u32 = 32;

/// What clients are held to, until the next reload.
struct InForce {
    limits: Limits,
    /// Requests that may be in flight. A reload makes a new one: those who have a turn, or wait for one, keep it.
    turns: Arc<Semaphore>,
}

impl InForce {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            turns: Arc::new(Semaphore::new(limits.requests)),
        }
    }
}

/// What serves a [`Source`].
pub struct Server {
    source: Arc<dyn Source>,
    moments: Arc<Moments>,
    web: Arc<Current>,
    in_force: Mutex<InForce>,
    connections: Arc<Connections>,
    counts: Arc<Counts>,
}

impl Server {
    /// A server of this source; `web` is the configuration's, read already.
    #[must_use]
    pub fn new(config: &Config, web: Option<Web>, source: Arc<dyn Source>) -> Arc<Self> {
        let counts = Arc::new(Counts::default());
        let connections = Arc::new(Connections::default());
        let guarded = insecure(&config.listen, None).is_some() && !config.allow_insecure_remote;
        let web = Arc::new(Current::new(web, guarded));
        let own = {
            let (counts, connections, web) = (counts.clone(), connections.clone(), web.clone());
            move || {
                let mut samples = counts.samples(connections.count());
                samples.extend(web.samples());
                samples
            }
        };
        Arc::new(Self {
            moments: Moments::new(source.clone(), own),
            source,
            web,
            in_force: Mutex::new(InForce::new(config.limits)),
            connections,
            counts,
        })
    }

    /// Begins with a history, as if it had read all that itself.
    pub fn remember(&self, history: History) {
        self.moments.remember(history);
    }

    /// Serves on these until `stopped` is ready; open connections are dropped then.
    pub async fn serve(
        self: &Arc<Self>,
        listeners: Vec<Listener>,
        stopped: impl Future<Output = ()>,
    ) {
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(self.clone().accept(listener));
        }
        stopped.await;
    }

    /// Takes over what can change while it serves: limits, for who comes or asks from now on, and the web configuration,
    /// which is read again.
    ///
    /// # Errors
    /// When the web configuration is broken; the one before stays in force.
    pub fn reload(&self, config: &Config) -> Result<()> {
        {
            let mut in_force = self.lock();
            if in_force.limits != config.limits {
                *in_force = InForce::new(config.limits);
            }
        }
        self.web.reload(config.web_config.as_deref())
    }

    fn lock(&self) -> MutexGuard<'_, InForce> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limits(&self) -> Limits {
        self.lock().limits
    }

    fn turns(&self) -> Arc<Semaphore> {
        self.lock().turns.clone()
    }

    async fn accept(self: Arc<Self>, listener: Listener) {
        // Those of this listener end with it.
        let mut open = JoinSet::new();
        for turn in (1..=AT_ONCE).cycle() {
            let (stream, peer) = match listener.accept().await {
                Ok(client) => client,
                Err(error) if gone(&error) => continue,
                Err(error) => {
                    // Out of file descriptors, say: it passes, and the probes go on counting.
                    log::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let most = self.lock().limits.connections;
            let (place, displaced) = self.connections.enter(peer, most);
            for _ in 0..displaced {
                self.counts.cut(Reason::Displaced);
            }
            open.spawn(connection::serve(self.clone(), stream, peer, place));
            while open.try_join_next().is_some() {}
            // Those who are connected get their turn, however many knock; and who knocks must not wait long either, or a flood
            // would keep everybody at the door.
            if turn == AT_ONCE {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Whether a client gave up before it was accepted (accept(2), "Error handling").
fn gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Why these must not be served with this web configuration, unless somebody says that it is meant; `None` if they may.
#[must_use]
pub fn insecure(listen: &[Listen], web: Option<&Web>) -> Option<String> {
    if web.is_some_and(Web::guards) {
        return None;
    }
    let open = |listen: &Listen| match listen {
        Listen::Tcp(address) => (!address.ip().to_canonical().is_loopback()).then_some(*address),
        Listen::Unix(_) => None,
    };
    let address: SocketAddr = listen.iter().find_map(open)?;
    Some(format!(
        "other hosts can reach {address}, and neither TLS nor users are configured: give --web-config, listen on a loopback \
         address or a unix socket, or say --allow-insecure-remote"
    ))
}
