//! A recording in a file: gzip of lines of JSON, so that `zcat FILE | head` can be read, and other programs can too. What each
//! line is, is in `docs/recording.md`.
//!
//! A file is read as a whole or not at all: its end says how much there is, and gzip's sum is over every bit.

mod lines;
mod read;
mod write;

use std::{borrow::Cow, collections::BTreeMap, os::unix::ffi::OsStrExt as _, path::Path};

use serde::{Deserialize, Serialize};

pub use self::{read::read, write::Writer};
use super::{by::Value, recording::About, tally::Tally};
use crate::text;

/// The format that is written, and the newest that is read. It grows when an older reader would be wrong about a file.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Serialize, Deserialize)]
struct Header {
    daxscope_recording: u32,
}

/// Each other line: an object with one member, whose name says what it is.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line<'a> {
    /// The second line.
    About(Cow<'a, About>),
    /// A group, numbered from 0 in the order of these lines; before anything that counts it.
    Key(Cow<'a, [Value]>),
    /// All that was counted of a group at the reading whose line follows.
    Change(usize, Cow<'a, Tally>),
    /// A reading, behind its changes.
    State(Reading<'a>),
    /// The last line.
    End { keys: usize, states: usize },
}

#[derive(Serialize, Deserialize)]
struct Reading<'a> {
    /// Milliseconds since the probes were attached.
    at: u64,
    /// How many changes belong to it.
    changed: usize,
    lost: Cow<'a, BTreeMap<String, u64>>,
}

/// A path on one line.
fn named(path: &Path) -> String {
    text::foreign(path.as_os_str().as_bytes())
}
