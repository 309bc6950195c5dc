//! The web configuration in force: read again when one of its files changes, and kept when the new one is broken.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Result, bail};

use super::{
    counts::{CERTIFICATE_EXPIRY, RELOAD_FAILURES, RELOAD_SUCCESS},
    web::{Files, Web},
};
use crate::snapshot::{Sample, Value};

/// Files are looked at when a client comes, and not more often.
const LOOK: Duration = Duration::from_secs(1);

/// What clients are held to.
pub struct Current {
    /// Whether it must encrypt or identify: some address can be reached from other hosts.
    guarded: bool,
    state: Mutex<State>,
}

struct State {
    path: Option<PathBuf>,
    web: Option<Arc<Web>>,
    /// What the last reading went through, also if it failed: that is not done again before something changes.
    read: Files,
    looked: Instant,
    success: bool,
    failures: u64,
}

impl Current {
    pub fn new(web: Option<Web>, guarded: bool) -> Self {
        let mut web = web;
        let read = web.as_mut().map(Web::take_files).unwrap_or_default();
        Self {
            guarded,
            state: Mutex::new(State {
                path: web.as_ref().map(|web| web.path().to_owned()),
                web: web.map(Arc::new),
                read,
                looked: Instant::now(),
                success: true,
                failures: 0,
            }),
        }
    }

    /// For a client that comes now.
    pub fn get(&self) -> Option<Arc<Web>> {
        let mut state = self.lock();
        if state.looked.elapsed() >= LOOK {
            state.looked = Instant::now();
            if state.read.changed() {
                let path = state.path.clone();
                match state.read_again(path.as_deref(), self.guarded) {
                    Ok(()) => log::info!("the web configuration has changed, and is in force"),
                    Err(error) => log::error!("the web configuration stays as it was: {error:#}"),
                }
            }
        }
        state.web.clone()
    }

    /// Reads it again, from this path, whether it has changed or not.
    ///
    /// # Errors
    /// When it is broken; the one before stays in force.
    pub fn reload(&self, path: Option<&Path>) -> Result<()> {
        self.lock().read_again(path, self.guarded)
    }

    pub fn samples(&self) -> Vec<Sample> {
        let state = self.lock();
        let mut samples = vec![
            RELOAD_SUCCESS.count([], u64::from(state.success)),
            RELOAD_FAILURES.count([], state.failures),
        ];
        let end = state.web.as_ref().and_then(|web| web.expires());
        if let Some(end) = end.and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok()) {
            samples.push(CERTIFICATE_EXPIRY.sample([], Value::Count(end.as_secs())));
        }
        samples
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn read_again(&mut self, path: Option<&Path>, guarded: bool) -> Result<()> {
        let mut read = Files::default();
        let web = path.map(|path| Web::parse(path, &mut read)).transpose();
        let web = web.and_then(|web| {
            if guarded && !web.as_ref().is_some_and(Web::guards) {
                bail!(
                    "neither TLS nor users are left in it, and other hosts can reach us: start anew with --allow-insecure-remote if that is meant"
                );
            }
            Ok(web)
        });
        self.path = path.map(Path::to_owned);
        self.read = read;
        self.success = web.is_ok();
        match web {
            Ok(web) => {
                for words in web.iter().flat_map(Web::warnings) {
                    log::warn!("{words}");
                }
                self.web = web.map(Arc::new);
                Ok(())
            }
            Err(error) => {
                self.failures += 1;
                Err(error)
            }
        }
    }
}
