//! One call, as it happened.

/// A call that ended. Text that others chose is escaped already, by [`crate::text::foreign`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it ended, in nanoseconds since 1970-01-01 UTC.
    pub at: u64,
    pub cpu: u32,
    pub comm: String,
    /// The thread.
    pub pid: u32,
    /// The process.
    pub tgid: u32,
    /// Path of the cgroup (v2).
    pub cgroup: String,
    /// Kernel function that was called.
    pub entry: &'static str,
    /// pin or get; - outside of gup.
    pub how: &'static str,
    /// Whether it was asked with `FOLL_LONGTERM`.
    pub longterm: bool,
    /// The first user address that was asked for; `None` outside of gup, and where it cannot be seen.
    pub address: Option<u64>,
    /// Pages asked for.
    pub asked: Option<u64>,
    /// Pages returned; struct pages initialised or populated.
    pub pages: u64,
    /// `ok`, or the name of the error.
    pub errno: String,
    /// What the pages are of; several where a request spans several pagemaps, in the order of the pages. At least one: of a
    /// call without pages, what is known of it.
    pub parts: Vec<Part>,
    /// Whether some pages of it were counted as their neighbours are.
    pub sampled: bool,
    /// Nanoseconds inside the call; `None` if its beginning was not seen.
    pub ns: Option<u64>,
    /// Kernel function that asked for the pages.
    pub caller: String,
    /// Kernel functions, the innermost first; empty unless asked for.
    pub stack: Vec<String>,
}

/// Pages of one pagemap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub geometry: String,
    pub device: String,
    pub pages: u64,
}
