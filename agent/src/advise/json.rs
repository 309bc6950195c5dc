//! Advice as one JSON object: every figure as a plain number, its unit in the key.

use serde_json::{Value, json};

use super::{Advice, Choice};
use crate::{
    inventory::{account::Account, cost::Cost},
    probes::geometry,
};

/// All advice.
#[must_use]
pub fn json(advice: &[Advice]) -> Value {
    let devices: Vec<_> = advice.iter().map(device).collect();
    json!({
        "daxscope": crate::VERSION,
        "warning": "each command destroys all data on its device; daxscope runs none of them",
        "devices": devices,
    })
}

fn device(advice: &Advice) -> Value {
    let device = advice.device;
    let now = advice.now.as_ref();
    let options = advice.options.as_ref();
    let options: Option<Vec<_>> = options
        .ok()
        .map(|all| all.iter().map(|o| option(advice, o)).collect());
    json!({
        "device": device.device,
        "namespace": device.namespace,
        "region": device.region,
        "mode": device.mode,
        "now": now.and_then(|now| now.used().ok()).as_ref().map(cost),
        "now_measured": now.map(|now| now.measured.is_ok() && !now.sampled()),
        "now_disagreement_bytes": now.and_then(Account::disagreement),
        "options": options,
        "no_advice": advice.options.as_ref().err(),
    })
}

fn option(advice: &Advice, option: &Choice) -> Value {
    let layout = option.layout;
    let outcome = option.outcome.as_ref().ok();
    let [least, in_ram] = advice.least();
    let is = |other: Option<&Choice>| other.is_some_and(|other| std::ptr::eq(other, option));
    json!({
        "mode": layout.mode.name(),
        "align": geometry::label(layout.power),
        "align_bytes": 1_u64 << layout.power,
        "map": layout.map.name(),
        "is_now": option.now,
        "least_ram": is(least),
        "least_ram_of_map_mem": is(in_ram),
        "formula": outcome.map(|outcome| cost(&outcome.cost)),
        "usable_bytes": outcome.map(|outcome| outcome.usable),
        "saves_ram_bytes": advice.saves(option),
        "impossible": option.outcome.as_ref().err(),
        "command": outcome.map(|_| &option.command),
        "destroys_data": true,
    })
}

fn cost(cost: &Cost) -> Value {
    json!({
        "ram_bytes": cost.ram,
        "device_bytes": cost.device,
        "tables_bytes": cost.tables,
    })
}
