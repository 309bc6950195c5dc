//! The running probes with how they stand, as the server shows them.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use anyhow::Result;

use crate::{
    check::Verdicts,
    holders::tell,
    load::{Probes, Verdict},
    probes::{self, health, process, standing::Standing},
    serve::source::{Readiness, Source},
    snapshot::Snapshot,
};

/// A daemon that serves.
pub struct Daemon {
    pub probes: Probes,
    pub standing: Standing,
}

impl Daemon {
    /// A line for `systemctl status`.
    #[must_use]
    pub fn status(&self) -> String {
        let attached = Verdicts(&self.probes.verdicts).attached();
        let readiness = self.readiness();
        let losses = if readiness.losses.is_empty() {
            "nothing lost".to_owned()
        } else {
            format!("lost: {}", readiness.losses.join(", "))
        };
        if readiness.ready() {
            return format!("{attached} probe points attached, {losses}");
        }
        format!("degraded: {}; {losses}", readiness.reasons.join("; "))
    }
}

impl Source for Daemon {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = probes::read(&self.probes);
        let standing = self.standing.samples(&self.probes, &snapshot.samples);
        snapshot.samples.extend(standing);
        snapshot.samples.extend(process::read());
        snapshot
    }

    fn verdicts(&self) -> &[Verdict] {
        &self.probes.verdicts
    }

    fn readiness(&self) -> Readiness {
        let health = health::read(&self.probes);
        self.standing.readiness(&self.probes, &health)
    }

    fn written(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.probes.exposition.store(took, Relaxed);
    }

    fn holders(&self) -> Option<Result<String>> {
        let tell = || Ok(format!("{:#}\n", tell::tell(&self.probes)?.json()));
        self.probes.holders.then(tell)
    }
}
