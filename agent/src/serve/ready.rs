//! `/readyz`: whether what is told can be relied on, and if not, why.

use serde_json::{Value, json};

use super::source::Readiness;
use crate::load::{Mechanism, Verdict};

/// One JSON object.
#[must_use]
pub fn json(of: &Readiness, verdicts: &[Verdict]) -> String {
    let state = |state: &Result<String, String>| match state {
        Ok(words) => json!({"ok": true, "words": words}),
        Err(words) => json!({"ok": false, "words": words}),
    };
    let layers: serde_json::Map<_, _> = of
        .layers
        .iter()
        .map(|(layer, of)| ((*layer).to_owned(), state(of)))
        .collect();
    let told = json!({
        "ready": of.ready(),
        "reasons": of.reasons,
        "self_test": of.self_test.as_ref().map(state),
        "layers": layers,
        "losses": of.losses,
        "probes": verdicts.iter().map(probe).collect::<Vec<_>>(),
    });
    format!("{told:#}\n")
}

fn probe(verdict: &Verdict) -> Value {
    json!({
        "family": verdict.family,
        "probe": verdict.point,
        "symbol": verdict.symbol,
        "attached": verdict.mechanism.is_some(),
        "mechanism": verdict.mechanism.map(Mechanism::name),
        "required": verdict.required,
        "reason": verdict.reason,
        "remedy": verdict.remedy,
    })
}
