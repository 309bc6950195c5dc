//! The moments before this one, as far as the page shows them: bounded, whatever is read and however often.

use std::time::Instant;

use crate::snapshot::Snapshot;

/// What is remembered of moments that were read.
#[derive(Debug, Default)]
pub struct History {
    last: Option<(Instant, Snapshot)>,
}

impl History {
    /// Remembers a moment. Every read of the server goes through here, scrapes too.
    pub fn record(&mut self, at: Instant, snapshot: &Snapshot) {
        self.last = Some((at, snapshot.clone()));
    }

    /// The moment before.
    #[must_use]
    pub const fn last(&self) -> Option<&(Instant, Snapshot)> {
        self.last.as_ref()
    }
}
