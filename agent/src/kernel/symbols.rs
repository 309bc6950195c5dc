//! Which kernel functions can be traced.

use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader},
};

/// Where tracefs lists them; the second on hosts that only mount debugfs.
const TRACEABLE: [&str; 2] = [
    "/sys/kernel/tracing/available_filter_functions",
    "/sys/kernel/debug/tracing/available_filter_functions",
];
const SYMBOLS: &str = "/proc/kallsyms";

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
}

impl Symbols {
    /// Asks for the functions of all families.
    #[must_use]
    pub fn read() -> Self {
        let wanted: HashSet<&str> = crate::probes::points()
            .flat_map(|(_, point)| point.symbols)
            .copied()
            .collect();
        let list = |path: &str| File::open(path).map(BufReader::new);
        let traceable = TRACEABLE
            .iter()
            .find_map(|path| list(path).ok())
            .map(|list| names(list, &wanted, 0));
        let present = list(SYMBOLS).map_or_else(|_| HashSet::new(), |l| names(l, &wanted, 2));
        Self { traceable, present }
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

/// The wanted names in a column of a list; columns are apart by blanks.
fn names(mut list: impl BufRead, wanted: &HashSet<&str>, column: usize) -> HashSet<String> {
    let mut found = HashSet::new();
    let mut line = String::new();
    // A line that cannot be read ends the list: what it lacks is then reported as not traceable.
    while matches!(list.read_line(&mut line), Ok(n) if n > 0) {
        if let Some(name) = line.split_ascii_whitespace().nth(column)
            && wanted.contains(name)
        {
            found.insert(name.to_owned());
        }
        line.clear();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_words_of_their_column() {
        let wanted = HashSet::from(["gup_put_folio", "memremap_pages"]);
        let list = "gup_put_folio\nmemremap_pages_x\nfoo [memremap_pages]\n";
        assert_eq!(
            names(list.as_bytes(), &wanted, 0),
            HashSet::from(["gup_put_folio".to_owned()])
        );
        let kallsyms = "0000 t gup_put_folio.part.0\n0000 T memremap_pages\n";
        assert_eq!(
            names(kallsyms.as_bytes(), &wanted, 2),
            HashSet::from(["memremap_pages".to_owned()])
        );
    }
}
