//! The running probes, as the server shows them.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use anyhow::Result;

use crate::{
    holders::tell,
    load::{Probes, Verdict},
    probes::{self, health},
    serve::source::{Readiness, Source},
    snapshot::Snapshot,
};

impl Source for Probes {
    fn snapshot(&self) -> Snapshot {
        probes::read(self)
    }

    fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    fn readiness(&self) -> Readiness {
        Readiness {
            losses: health::losses(self),
            ..Readiness::default()
        }
    }

    fn written(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.exposition.store(took, Relaxed);
    }

    fn holders(&self) -> Option<Result<String>> {
        self.holders
            .then(|| Ok(format!("{:#}\n", tell::tell(self)?.json())))
    }
}
