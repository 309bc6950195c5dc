//! How a daemon stands, as `/readyz`, `/metrics` and systemd are told: whether its own pin was counted, how it gave up
//! privileges, and whether it loses anything now.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::health;
use crate::{
    check::Verdicts,
    confine::Layer,
    load::Probes,
    serve::source::Readiness,
    snapshot::{Kind, Metric, Sample, Value},
};

pub static METRICS: &[&Metric] = &[&READY, &SELF_TEST, &CONFINED];

static READY: Metric = Metric {
    name: "ready",
    kind: Kind::Gauge,
    help: "1 if all required probes are attached, the self-test passed, and nothing was lost in the last five minutes; \
           /readyz says why not. Source: daxscope.",
    labels: &[],
};
static SELF_TEST: Metric = Metric {
    name: "self_test_success",
    kind: Kind::Gauge,
    help: "1 if pins of our own were counted after the probes were attached. Source: daxscope.",
    labels: &[],
};
static CONFINED: Metric = Metric {
    name: "confined",
    kind: Kind::Gauge,
    help: "1 if a layer of confinement is in force: capabilities given up, no_new_privs, landlock, seccomp with every \
           forbidden call tried and refused. /readyz says what of it, or why not. Source: daxscope.",
    labels: &["layer"],
};

/// What was lost counts against a daemon for so long.
const STEADY: Duration = Duration::from_mins(5);

/// What is known of a daemon since it began to serve.
pub struct Standing {
    pub self_test: Result<String, String>,
    pub layers: Vec<Layer>,
    losses: Mutex<Losses>,
}

/// What was lost when somebody looked last, and when that last grew.
struct Losses {
    known: u64,
    grew: Option<Instant>,
}

impl Standing {
    /// What is lost by now is the past: a probe that is attached meets calls whose beginning it has not seen.
    #[must_use]
    pub fn new(probes: &Probes, self_test: Result<String, String>, layers: Vec<Layer>) -> Self {
        let known = health::lost(&health::read(probes));
        Self {
            self_test,
            layers,
            losses: Mutex::new(Losses { known, grew: None }),
        }
    }

    /// From what [`health::read`] gave.
    #[must_use]
    pub fn readiness(&self, probes: &Probes, health: &[Sample]) -> Readiness {
        let missing = Verdicts(&probes.verdicts);
        let missing = missing.missing().map(|verdict| {
            let (family, point) = (verdict.family, verdict.point);
            format!("not attached: {family} {point}: {}", verdict.reason)
        });
        let mut reasons: Vec<String> = missing.collect();
        if let Err(error) = &self.self_test {
            reasons.push(format!("the self-test failed: {error}"));
        }
        let losses = health::told(health);
        if self.losing(health::lost(health)) {
            let minutes = STEADY.as_secs() / 60;
            reasons.push(format!("something was lost in the last {minutes} minutes"));
        }
        Readiness {
            reasons,
            layers: self
                .layers
                .iter()
                .map(|layer| (layer.name, layer.state.clone()))
                .collect(),
            self_test: Some(self.self_test.clone()),
            losses,
        }
    }

    /// Whether the number of losses has grown lately.
    fn losing(&self, lost: u64) -> bool {
        let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        if lost > losses.known {
            *losses = Losses {
                known: lost,
                grew: Some(Instant::now()),
            };
        }
        losses.grew.is_some_and(|grew| grew.elapsed() < STEADY)
    }

    /// The same for a snapshot that holds what [`health::read`] gave.
    #[must_use]
    pub fn samples(&self, probes: &Probes, snapshot: &[Sample]) -> Vec<Sample> {
        let ready = self.readiness(probes, snapshot).ready();
        let layers = self.layers.iter().map(|layer| {
            let value = Value::Count(layer.state.is_ok().into());
            CONFINED.sample([layer.name], value)
        });
        let own = [
            READY.count([], ready.into()),
            SELF_TEST.count([], self.self_test.is_ok().into()),
        ];
        own.into_iter().chain(layers).collect()
    }
}

/// All that a host can have.
#[cfg(test)]
pub(super) fn worst() -> Vec<Sample> {
    let layers = crate::confine::LAYERS;
    let layers = layers.map(|layer| CONFINED.count([layer], 1));
    let own = [READY.count([], 1), SELF_TEST.count([], 1)];
    own.into_iter().chain(layers).collect()
}
