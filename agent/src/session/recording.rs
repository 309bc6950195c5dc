//! What a session has seen: plain values, from the kernel or from a file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    by::{By, Value},
    tally::Tally,
};

/// Everything that a session keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    pub about: About,
    /// The groups that were met, in that order: a value for each dimension of [`About::by`].
    pub keys: Vec<Vec<Value>>,
    /// Readings, each with what had changed since the one before it.
    pub states: Vec<State>,
}

/// Where, when and of what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Version and revision of daxscope.
    pub daxscope: String,
    pub host: String,
    /// `uname -r`.
    pub kernel: String,
    /// `uname -m`.
    pub machine: String,
    pub cpus: usize,
    /// When the probes were attached; milliseconds since 1970-01-01 UTC.
    pub begun: u64,
    /// Families that were asked for: memremap, vmemmap, gup.
    pub rooms: Vec<String>,
    /// What each group is told by.
    pub by: Vec<By>,
    /// Filters as they were given, in words: `--geometry 2M`.
    pub filters: Vec<String>,
    /// The command whose process tree was watched, each word on one line; empty if all were.
    pub command: Vec<String>,
    pub points: Vec<Point>,
    pub devices: Vec<Device>,
}

/// A place in the kernel where calls were watched, or why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    pub family: String,
    /// As in the dimension `entry`.
    pub entry: String,
    /// The kernel function.
    pub symbol: String,
    /// fentry or kprobe; `None` if it was not watched.
    pub mechanism: Option<String>,
    /// Why it was not, or not by the better mechanism; else empty.
    pub reason: String,
}

/// A region that was there when the session began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub name: String,
    pub geometry: String,
    pub bytes: u64,
    /// Where its struct pages are: `mem` or `dev`, as ndctl says.
    pub map: String,
}

/// A reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Milliseconds since the probes were attached.
    pub at: u64,
    /// Of each group that changed, by its index in [`Recording::keys`], all since the beginning.
    pub changed: BTreeMap<usize, Tally>,
    /// What was lost since the beginning, by name; nothing that is 0.
    pub lost: BTreeMap<String, u64>,
}

impl Recording {
    /// Of each group all that was counted, in the order of [`keys`](Self::keys).
    #[must_use]
    pub fn totals(&self) -> Vec<Tally> {
        let mut totals = vec![Tally::default(); self.keys.len()];
        for state in &self.states {
            for (group, tally) in &state.changed {
                if let Some(total) = totals.get_mut(*group) {
                    total.clone_from(tally);
                }
            }
        }
        totals
    }

    /// Adds a reading, of groups that are `keys` by now. Unless all are kept, it takes the place of the one before it.
    pub fn take(&mut self, keys: &[Vec<Value>], state: State, keep: bool) {
        self.keys.extend_from_slice(&keys[self.keys.len()..]);
        match self.states.last_mut() {
            Some(last) if !keep => {
                last.at = state.at;
                last.lost = state.lost;
                last.changed.extend(state.changed);
            }
            _ => self.states.push(state),
        }
    }

    /// Milliseconds from the first to the last moment.
    #[must_use]
    pub fn elapsed(&self) -> u64 {
        self.states.last().map_or(0, |state| state.at)
    }

    /// What was lost, by name.
    #[must_use]
    pub fn lost(&self) -> BTreeMap<String, u64> {
        let last = self.states.last();
        last.map_or_else(BTreeMap::new, |state| state.lost.clone())
    }
}
