//! Kprobe events in tracefs for perf to count, by its own means: nothing of ours is in them.

use anyhow::Result;

use crate::guest::oracle::write_tracefs;

/// What the names of events at calls begin with.
pub const CALL: &str = "call_";
const GROUP: &str = "cost";

/// Removed when this is dropped.
pub struct Events {
    names: Vec<String>,
}

impl Events {
    /// One event at calls, one at returns of each.
    pub fn of_pairs(functions: &[&str]) -> Result<Events> {
        let mut events = Events { names: Vec::new() };
        for function in functions {
            for (kind, name) in [("p", CALL), ("r", "return_")] {
                let name = format!("{name}{function}");
                write_tracefs(
                    "kprobe_events",
                    &format!("{kind}:{GROUP}/{name} {function}"),
                )?;
                events.names.push(name);
            }
        }
        Ok(events)
    }

    /// As perf wants them.
    pub fn all(&self) -> String {
        let names = self.names.iter().map(|name| format!("{GROUP}:{name}"));
        names.collect::<Vec<_>>().join(",")
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        for name in &self.names {
            if let Err(error) = write_tracefs("kprobe_events", &format!("-:{GROUP}/{name}")) {
                eprintln!("a kprobe event of the bench stays behind: {error:#}");
            }
        }
    }
}
