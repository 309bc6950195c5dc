//! Why a configuration cannot be used.

use std::fmt;

use crate::text;

/// On one line: where it stands, the key, the cause and the remedy. Ends the daemon with [`crate::cli::USAGE`], before
/// anything is bound or attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// From words that may hold what somebody else wrote: whatever would not stay on its line is escaped.
    #[must_use]
    pub fn new(words: impl AsRef<str>) -> Self {
        Self(text::escaped(words.as_ref()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
