//! Where a value came from.

use std::{fmt, path::PathBuf};

use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    /// With its line, from 1.
    File(PathBuf, usize),
    /// The variable's name.
    Environment(String),
    /// As it was written.
    Flag(String),
}

impl Origin {
    /// As one object.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            Self::Default => json!({ "kind": "default" }),
            Self::File(path, line) => {
                json!({ "kind": "file", "path": path.to_string_lossy(), "line": line })
            }
            Self::Environment(name) => json!({ "kind": "environment", "name": name }),
            Self::Flag(name) => json!({ "kind": "flag", "name": name }),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(path, line) => write!(formatter, "{}:{line}", path.display()),
            Self::Environment(name) | Self::Flag(name) => formatter.write_str(name),
        }
    }
}
