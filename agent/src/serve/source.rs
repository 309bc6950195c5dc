//! What a server shows: the running probes or, in tests, moments that were made.

use std::time::Duration;

use anyhow::Result;

use crate::{load::Verdict, snapshot::Snapshot};

/// Something that can be served. All of it is called on the server's one thread, and none of it waits for anybody.
pub trait Source: Send + Sync + 'static {
    /// Everything, of this moment.
    fn snapshot(&self) -> Snapshot;
    /// What became of each probe point.
    fn verdicts(&self) -> &[Verdict];
    /// Whether what is shown can be relied on.
    fn readiness(&self) -> Readiness;
    /// How long it took to write the text of a snapshot, for the next one to tell.
    fn written(&self, took: Duration);
    /// Who holds pins, as one JSON object; `None` if nobody notes that.
    ///
    /// # Errors
    /// When the maps cannot be read.
    fn holders(&self) -> Option<Result<String>>;
}

/// Whether a daemon does what it promises, as `/readyz` tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Why it is not ready, in words, each reason once; ready if there is none.
    pub reasons: Vec<String>,
    /// How it has given up privileges: layer (`capabilities`, `no_new_privs`, `landlock`, `seccomp`), and whether it is in force,
    /// or why not.
    pub layers: Vec<(&'static str, Result<String, String>)>,
    /// What the pin that was made to try the probes came to: what was counted, or why it was not.
    pub self_test: Option<Result<String, String>>,
    /// What was lost until now, in words.
    pub losses: Vec<String>,
}

impl Readiness {
    #[must_use]
    pub fn ready(&self) -> bool {
        self.reasons.is_empty()
    }
}
