//! What got lost on the way, in words.

use std::collections::BTreeMap;

/// A line for each loss: how many, its name as in JSON, and what that means.
#[must_use]
pub fn words(lost: &BTreeMap<String, u64>) -> Vec<String> {
    let line = |(name, n): (&String, &u64)| match meaning(name) {
        Some(meaning) => format!("LOST {n} {name}: {meaning}"),
        None => format!("LOST {n} {name}"),
    };
    lost.iter().map(line).collect()
}

/// Of the names in `daxscope_common::lost` and `daxscope_common::session::lost`, and of what the kernel left out.
fn meaning(name: &str) -> Option<&'static str> {
    Some(match name {
        "call" => "calls that could not be noted, and are in no figure",
        "group" => "calls of groups that had no room: they are in the group of the rest",
        "event" => "calls, or parts of calls, that the ring had no room for: they are not shown",
        "kstack" => "kernel stacks that could not be kept, of calls that are counted",
        "ustack" => "user stacks that could not be kept, of calls that are counted",
        "tree" => "processes of the command that could not be noted: their calls are in no figure",
        "missed" => {
            "runs of probes that the kernel left out: those calls are not timed, or in no figure"
        }
        "start" => "calls that could not be remembered, and so not timed",
        "unmatched_return" => "calls whose beginning was not seen, and so not timed",
        "missed_return" => "calls whose end was not seen",
        "unreadable" => "kernel memory that could not be read, so that a geometry is unknown",
        "geometry_slots" => "geometries that had no room, and are unknown",
        "pagemap" | "pagemap_ranges" => "pagemaps that had no room",
        "nesting" => "calls not counted, as it could not be told whether they were in another",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use daxscope_common::{lost, session};

    use super::*;

    #[test]
    fn all_that_a_session_can_lose_has_words() {
        let of_pins = lost::NAMES[lost::HOLD as usize];
        for name in lost::NAMES.into_iter().chain(session::lost::NAMES) {
            // Sessions track no holders.
            assert_eq!(meaning(name).is_some(), name != of_pins, "{name}");
        }
        let lines = words(&BTreeMap::from([("tea".into(), 3)]));
        assert_eq!(lines, ["LOST 3 tea"]);
    }
}
