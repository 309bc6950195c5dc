//! What a daemon does with a configuration that is not the one it was started with.

use serde_json::Value;

use super::{Effective, keys::KEYS};

/// Of a running daemon, in words for its log: `max-connections: 128 -> 256 (/etc/daxscope/daxscope.toml:3)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// In force now.
    pub applied: Vec<String>,
    /// In force after the next start.
    pub later: Vec<String>,
}

impl Effective {
    /// Takes from a newer one what can change without binding or attaching again, and says what changed. Whether the result
    /// may be served ([`crate::serve`]) is for the caller to ask.
    pub fn change(&mut self, new: &Self) -> Change {
        let mut change = Change::default();
        for (index, key) in KEYS.iter().enumerate() {
            let [old, wanted] = [&self.config, &new.config].map(|config| key.field.value(config));
            let told = || {
                let [old, wanted] = [&old, &wanted].map(words);
                format!("{}: {old} -> {wanted} ({})", key.name, new.origins[index])
            };
            if old != wanted && !key.reloads {
                change.later.push(told());
                continue;
            }
            if old != wanted {
                change.applied.push(told());
                key.field.take(&mut self.config, &new.config);
            }
            self.origins[index] = new.origins[index].clone();
        }
        self.files.clone_from(&new.files);
        change
    }
}

fn words(value: &Value) -> String {
    if value.is_null() {
        return "not set".into();
    }
    value.to_string()
}
