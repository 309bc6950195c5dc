//! What is known at a moment: all that the readings said until then.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    kernel::functions::UNKNOWN,
    session::{
        by::Value,
        recording::{About, State},
        tally::Tally,
    },
};

/// Readings that are remembered for the line of latencies: more than a screen has columns.
const BEATS: usize = 512;

/// The sum of the readings of a session.
pub struct Model {
    pub about: About,
    keys: Vec<Vec<Value>>,
    /// Of each group all since the beginning, and what the last reading added.
    all: Vec<Tally>,
    now: BTreeMap<usize, Tally>,
    /// Milliseconds since the probes were attached, and since the reading before the last.
    pub at: u64,
    pub interval: u64,
    /// What was lost since the beginning, by name.
    pub lost: BTreeMap<String, u64>,
    /// The oldest first.
    pub beats: VecDeque<Beat>,
}

/// Durations of the calls that a reading added.
pub struct Beat {
    /// Milliseconds that the reading is of.
    pub interval: u64,
    /// Calls, by slot of [`fine`](daxscope_common::hist::fine).
    pub slots: BTreeMap<usize, u64>,
}

/// Groups that are the same in some dimensions.
pub struct Row {
    pub key: Vec<Value>,
    pub tallies: Tallies,
}

/// What the last reading added, and all since the beginning.
#[derive(Clone, Default)]
pub struct Tallies {
    pub now: Tally,
    pub all: Tally,
}

impl Model {
    /// Before the first reading.
    #[must_use]
    pub fn new(about: &About) -> Self {
        Self {
            about: about.clone(),
            keys: vec![],
            all: vec![],
            now: BTreeMap::new(),
            at: 0,
            interval: 0,
            lost: BTreeMap::new(),
            beats: VecDeque::new(),
        }
    }

    /// Adds a reading; `keys` are those of the groups that were met until then.
    pub fn advance(&mut self, keys: &[Vec<Value>], state: &State) {
        if let Some(new) = keys.get(self.keys.len()..) {
            self.keys.extend_from_slice(new);
        }
        self.all.resize(self.keys.len(), Tally::default());
        self.now.clear();
        let mut slots: BTreeMap<usize, u64> = BTreeMap::new();
        for (group, tally) in &state.changed {
            let Some(all) = self.all.get_mut(*group) else {
                continue;
            };
            let now = tally.since(all);
            for (slot, n) in &now.slots {
                *slots.entry(*slot).or_default() += n;
            }
            self.now.insert(*group, now);
            all.clone_from(tally);
        }
        self.interval = state.at.saturating_sub(self.at);
        self.at = state.at;
        self.lost.clone_from(&state.lost);
        self.beats.push_back(Beat {
            interval: self.interval,
            slots,
        });
        if self.beats.len() > BEATS {
            self.beats.pop_front();
        }
    }

    /// Groups with a `text` in any value, the case of ASCII letters aside, put together by what they have in some columns of
    /// the keys; in the order of that. Calls that stopped stay listed.
    #[must_use]
    pub fn rows(&self, columns: &[usize], text: &str) -> Vec<Row> {
        let text = text.to_ascii_lowercase();
        let mut rows: BTreeMap<Vec<Value>, Tallies> = BTreeMap::new();
        for (group, (key, all)) in self.keys.iter().zip(&self.all).enumerate() {
            if all.calls > 0 && has(key, &text) {
                let key = columns.iter().filter_map(|column| key.get(*column));
                let row = rows.entry(key.cloned().collect()).or_default();
                row.all.add(all);
                if let Some(now) = self.now.get(&group) {
                    row.now.add(now);
                }
            }
        }
        let rows = rows.into_iter();
        rows.map(|(key, tallies)| Row { key, tallies }).collect()
    }
}

fn has(key: &[Value], text: &str) -> bool {
    text.is_empty()
        || key
            .iter()
            .any(|value| words(value).to_ascii_lowercase().contains(text))
}

/// A value on one line; a stack with its innermost function first.
#[must_use]
pub fn words(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Stack(functions) if functions.is_empty() => UNKNOWN.into(),
        Value::Stack(functions) => functions.join(" < "),
    }
}
