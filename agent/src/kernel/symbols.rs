//! Which kernel functions can be traced, and what of the kernel's list of symbols is wanted beside.

use std::{
    collections::{BTreeSet, HashSet},
    fs::File,
    io::{BufRead, BufReader},
};

use anyhow::{Context as _, Result, anyhow};

use super::{
    addresses::{self, Addresses, SYMBOLS},
    btf::Btf,
    paging,
};
use crate::{inventory::pagemaps, probes::gup};

/// Where tracefs lists them; the second on hosts that only mount debugfs.
const TRACEABLE: [&str; 2] = [
    "/sys/kernel/tracing/available_filter_functions",
    "/sys/kernel/debug/tracing/available_filter_functions",
];
/// Bytes asked for at once; the kernel gives a page or less.
const CHUNK: usize = 1 << 13;

/// What the kernel says of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traceable {
    Yes,
    /// It exists but has no place for ftrace: `notrace`, or inlined everywhere but there.
    No,
    Absent,
    /// It exists, and there is no list to ask: tracefs is not mounted, or not readable by us. Attaching will tell.
    Unknown,
}

/// The functions that probes may want, and what the kernel says of them.
pub struct Symbols {
    traceable: Option<HashSet<String>>,
    present: HashSet<String>,
    /// Where the kernel keeps the variables that an inventory starts from, and the functions that give pins back; `Err` holds why that is not known.
    pub addresses: Result<Addresses>,
}

impl Symbols {
    /// Asks for the functions of all families, and for the variables. The kernel writes a list of some hundred thousand lines
    /// for that, so each list is read once.
    #[must_use]
    pub fn read() -> Self {
        let points = crate::probes::points().flat_map(|(_, point)| point.symbols);
        let wanted: BTreeSet<&[u8]> = points.map(|name| name.as_bytes()).collect();
        let placed = [&[pagemaps::VARIABLE], paging::VARIABLES, &gup::releases()].concat();
        let buffered = |list: File| BufReader::with_capacity(CHUNK, list);
        let (mut present, mut addresses) = (HashSet::new(), Addresses::default());
        let listed = addresses::open().map(|list| {
            each(buffered(list), |line| {
                keep(&mut present, &wanted, line.name);
                addresses.note(line, &placed);
                // Those of modules come last, and nothing that is wanted is in a module.
                !line.module
            });
        });
        let all = listed.as_ref().map_or(usize::MAX, |()| present.len());
        let functions = |list: BufReader<File>| {
            let mut found = HashSet::new();
            lines(list, |line| {
                keep(&mut found, &wanted, first(line));
                found.len() < all
            });
            found
        };
        let traceable = TRACEABLE.iter().find_map(|path| File::open(path).ok());
        let traceable = traceable.map(|list| functions(buffered(list)));
        let listed = listed.with_context(|| format!("cannot read {SYMBOLS}"));
        Self {
            traceable,
            present,
            addresses: listed.and_then(|()| addresses.shown()),
        }
    }

    /// The functions that BTF describes, without asking which of them can be traced: attaching will tell. Reading the lists
    /// takes longer than attaching to ten functions.
    #[must_use]
    pub fn described(btf: &Btf) -> Self {
        let symbols = crate::probes::points().flat_map(|(_, point)| point.symbols);
        let there = symbols.filter(|symbol| btf.function_id(symbol).is_some());
        Self {
            traceable: None,
            present: there.map(|symbol| (*symbol).to_owned()).collect(),
            addresses: Err(anyhow!("nobody asked for them")),
        }
    }

    /// What the kernel says of one of them.
    #[must_use]
    pub fn traceable(&self, function: &str) -> Traceable {
        let listed = self.traceable.as_ref().map(|list| list.contains(function));
        match (listed, self.present.contains(function)) {
            (Some(true), _) => Traceable::Yes,
            (Some(false), true) => Traceable::No,
            (None, true) => Traceable::Unknown,
            (_, false) => Traceable::Absent,
        }
    }
}

/// Notes a name if it is wanted.
fn keep(found: &mut HashSet<String>, wanted: &BTreeSet<&[u8]>, name: &[u8]) {
    if wanted.contains(name) {
        found.insert(String::from_utf8_lossy(name).into_owned());
    }
}

/// A line of `/proc/kallsyms`: an address, a letter, a name and, of a module's, the module.
pub(super) struct Line<'a> {
    address: &'a [u8],
    pub name: &'a [u8],
    pub module: bool,
}

impl Line<'_> {
    /// The address; 0 if the kernel hides it.
    pub fn address(&self) -> Option<u64> {
        u64::from_str_radix(std::str::from_utf8(self.address).ok()?, 16).ok()
    }
}

/// Each line of a list in the form of `/proc/kallsyms`, while more are asked for.
pub(super) fn each(list: impl BufRead, mut more: impl FnMut(&Line) -> bool) {
    lines(list, |line| {
        let mut words = line.splitn(3, |byte| *byte == b' ');
        let (Some(address), Some(_), Some(rest)) = (words.next(), words.next(), words.next())
        else {
            return true;
        };
        let name = first(rest);
        more(&Line {
            address,
            name,
            module: name.len() < rest.len(),
        })
    });
}

/// Each line, without its end, while more are asked for. One that cannot be read ends the list: what it lacks is then reported as not there.
fn lines(mut list: impl BufRead, mut more: impl FnMut(&[u8]) -> bool) {
    let mut line = vec![];
    while matches!(list.read_until(b'\n', &mut line), Ok(n) if n > 0)
        && more(line.strip_suffix(b"\n").unwrap_or(&line))
    {
        line.clear();
    }
}

/// A line up to its first blank.
fn first(line: &[u8]) -> &[u8] {
    let end = line.iter().position(u8::is_ascii_whitespace);
    &line[..end.unwrap_or(line.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_words_of_their_column() {
        let wanted = BTreeSet::from(["gup_put_folio".as_bytes(), b"memremap_pages"]);
        let mut found = HashSet::new();
        let list = "gup_put_folio\nmemremap_pages_x\nfoo [memremap_pages]\n";
        lines(list.as_bytes(), |line| {
            keep(&mut found, &wanted, first(line));
            true
        });
        assert_eq!(found, HashSet::from(["gup_put_folio".to_owned()]));
        found.clear();
        let kallsyms =
            "0000 t gup_put_folio.part.0\n0000 T memremap_pages\n0000 T x\t[gup_put_folio]\n";
        each(kallsyms.as_bytes(), |line| {
            keep(&mut found, &wanted, line.name);
            true
        });
        assert_eq!(found, HashSet::from(["memremap_pages".to_owned()]));
    }
}
