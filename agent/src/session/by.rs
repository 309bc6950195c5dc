//! What calls can be grouped by.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A dimension. The order is that of columns.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Page size of the pagemap: 4K, 2M, 1G; system for pages of none, unknown where no page was returned
    Geometry,
    /// Kernel function that was called
    Entry,
    /// pin, get or unpin; - outside of gup
    How,
    /// Device that the pages are on: dax0.0, pmem0; system, unknown as in geometry
    Device,
    /// Name of the thread
    Comm,
    /// Number of the thread
    Pid,
    /// Number of the process
    Tgid,
    /// Path of the cgroup (v2)
    Cgroup,
    /// Kernel function that asked for the pages
    Caller,
    /// Kernel stack
    Kstack,
    /// User stack
    Ustack,
    /// Name of the error; ok if there was none
    Errno,
    /// longterm for pins with `FOLL_LONGTERM`, else -
    Longterm,
}

impl By {
    /// As on the command line, in JSON and as the title of a column.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Geometry => "geometry",
            Self::Entry => "entry",
            Self::How => "how",
            Self::Device => "device",
            Self::Comm => "comm",
            Self::Pid => "pid",
            Self::Tgid => "tgid",
            Self::Cgroup => "cgroup",
            Self::Caller => "caller",
            Self::Kstack => "kstack",
            Self::Ustack => "ustack",
            Self::Errno => "errno",
            Self::Longterm => "longterm",
        }
    }
}

/// Dimensions as they were asked for, each once.
#[must_use]
pub fn each_once(by: &[By]) -> Vec<By> {
    let mut once: Vec<By> = vec![];
    for by in by {
        if !once.contains(by) {
            once.push(*by);
        }
    }
    once
}

/// What a group has in one dimension. Text that others chose (comm, cgroup, symbols) is escaped already, by
/// [`crate::text::foreign`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Number(u64),
    Text(String),
    /// Functions, the innermost first; [`crate::kernel::functions::UNKNOWN`] where one cannot be told.
    Stack(Vec<String>),
}
