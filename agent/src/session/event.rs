//! One call, as it happened: a line for people, and one of JSON.

use std::fmt::{self, Write as _};

use serde::{Serialize, Serializer};

use crate::text::{self, Flush};

/// A call that ended. Text that others chose is escaped already, by [`crate::text::foreign`].
///
/// Serialized it is the line of `events --json`: its fields are that contract, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When it ended, in nanoseconds since 1970-01-01 UTC; serialized as RFC 3339 writes it.
    #[serde(serialize_with = "utc")]
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
    /// The first user address that was asked for; `None` outside of gup, and where it cannot be seen. Serialized as `0x7f…`.
    #[serde(serialize_with = "hexadecimal")]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    pub geometry: String,
    pub device: String,
    pub pages: u64,
}

/// Title, width and side of each column of a line. Widths are what is usual: nobody can wait for the widest.
const COLUMNS: [(&str, usize, Flush); 14] = [
    ("TIME (UTC)", 15, Flush::Left),
    ("CPU", 4, Flush::Right),
    ("PROCESS", 15, Flush::Left),
    ("PID", 7, Flush::Right),
    ("ENTRY", 23, Flush::Left),
    ("HOW", 12, Flush::Left),
    ("ADDRESS", 14, Flush::Left),
    ("ASKED", 6, Flush::Right),
    ("GOT", 6, Flush::Right),
    ("GEOMETRY", 8, Flush::Left),
    ("DEVICE", 8, Flush::Left),
    ("LATENCY", 9, Flush::Right),
    ("RESULT", 7, Flush::Left),
    ("CALLER", 0, Flush::Left),
];

/// The titles above the lines of [`Event`]'s `Display`, without the end of the line.
#[must_use]
pub fn header() -> String {
    line(&COLUMNS.map(|(title, ..)| title.to_owned()))
}

/// A line for people, without its end; the functions of its stack on lines below it. What is not known is `-`; a geometry
/// with `~` is from a sample of the pages.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let number = |number: Option<u64>| number.map_or("-".into(), |n| n.to_string());
        let longterm = if self.longterm { " longterm" } else { "" };
        let geometries: Vec<_> = self.parts.iter().map(|p| p.geometry.as_str()).collect();
        let sample = if self.sampled { "~" } else { "" };
        f.write_str(&line(&[
            // From the hour to the microsecond of 2026-11-22T20:08:17.123456789Z.
            text::utc(self.at)[11..26].into(),
            self.cpu.to_string(),
            self.comm.clone(),
            self.pid.to_string(),
            self.entry.into(),
            format!("{}{longterm}", self.how),
            self.address.map_or("-".into(), |a| format!("{a:#x}")),
            number(self.asked),
            self.pages.to_string(),
            format!("{sample}{}", geometries.join("+")),
            self.devices(),
            self.ns.map_or("-".into(), text::duration),
            self.errno.clone(),
            self.caller.clone(),
        ]))?;
        for function in &self.stack {
            write!(f, "\n    {function}")?;
        }
        Ok(())
    }
}

impl Event {
    /// `dax0.0`; `dax0.0:8+pmem1:32` with the pages of each where there are several.
    fn devices(&self) -> String {
        if let [part] = &self.parts[..] {
            return part.device.clone();
        }
        let words = self.parts.iter();
        let words = words.map(|part| format!("{}:{}", part.device, part.pages));
        words.collect::<Vec<_>>().join("+")
    }
}

/// Cells below their titles. What is too wide moves the rest of its line.
fn line(cells: &[String; COLUMNS.len()]) -> String {
    let mut line = String::new();
    for (cell, (_, width, flush)) in cells.iter().zip(COLUMNS) {
        // Writing to a String cannot fail.
        let _ = match flush {
            Flush::Left => write!(line, "{cell:width$}  "),
            Flush::Right => write!(line, "{cell:>width$}  "),
        };
    }
    line.truncate(line.trim_end().len());
    line
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn utc<S: Serializer>(at: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&text::utc(*at))
}

#[expect(clippy::ref_option, reason = "as serde calls it")]
fn hexadecimal<S: Serializer>(address: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(&format_args!("{address:#x}")),
        None => serializer.serialize_none(),
    }
}
