//! Which functions return addresses lie in. The kernel's list has some hundred thousand lines: it is read when somebody
//! asks, and only what was asked for is kept.

mod nearest;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader, Read as _, Seek as _},
};

use self::nearest::Function;
use super::addresses::{self, SYMBOLS};

const MODULES: &str = "/proc/modules";
/// What an address is called that nothing is known of.
pub const UNKNOWN: &str = "[unknown]";
/// Starts of names of what runs our programs, and of those: they are on top of a stack.
const OURS: [&str; 14] = [
    "bpf_prog_",
    "bpf_trampoline_",
    "bpf_get_stack",
    "__bpf_",
    "trace_call_bpf",
    "kprobe_",
    "kretprobe_",
    "__kretprobe_",
    "rethook_",
    "arch_rethook_",
    "trampoline_handler",
    "ftrace_",
    "arch_ftrace_",
    "aggr_",
];
/// Starts of names of what stands between a pin and who wanted it: the ways into GUP (mm/gup.c, mm/memfd.c), and what walks
/// the buffers of a request for its caller (`lib/iov_iter.c`).
const BETWEEN: [&str; 13] = [
    "pin_user_pages",
    "get_user_pages",
    "memfd_pin_folios",
    "__get_user_pages",
    "internal_get_user_pages_fast",
    "gup_fast",
    "__gup_longterm",
    "lockless_pages_from_mm",
    "iov_iter_get_pages",
    "__iov_iter_get_pages",
    "iov_iter_extract_",
    "unpin_user_",
    "unpin_folio",
];

/// The kernel's lists of symbols and of modules, open: whether they show addresses is decided by who opened them
/// (`kallsyms_show_value(file->f_cred)`, kernel/kallsyms.c), so they go on showing them when privileges are given up.
#[derive(Debug)]
pub struct Lists {
    symbols: io::Result<File>,
    modules: io::Result<File>,
}

impl Lists {
    #[must_use]
    pub fn open() -> Self {
        Self {
            symbols: addresses::open(),
            modules: File::open(MODULES),
        }
    }
}

/// A list from its beginning.
fn rewound(list: &io::Result<File>) -> io::Result<&File> {
    let mut list = list
        .as_ref()
        .map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
    list.rewind()?;
    Ok(list)
}

/// The functions of some return addresses.
#[derive(Debug, Default)]
pub struct Functions {
    by_address: HashMap<u64, Function>,
    hidden: Option<String>,
}

impl Functions {
    /// Looks the addresses up. Not by two at a time: who reads a list moves its place.
    #[must_use]
    pub fn of(lists: &Lists, addresses: impl IntoIterator<Item = u64>) -> Self {
        let mut modules = String::new();
        // Without it, functions of modules have no names.
        let _ = rewound(&lists.modules).and_then(|mut list| list.read_to_string(&mut modules));
        match rewound(&lists.symbols) {
            Ok(list) => Self::from(BufReader::with_capacity(1 << 16, list), &modules, addresses),
            Err(error) => Self {
                hidden: Some(format!("cannot read {SYMBOLS}: {error}")),
                ..Self::default()
            },
        }
    }

    fn from(list: impl BufRead, modules: &str, addresses: impl IntoIterator<Item = u64>) -> Self {
        let mut wanted: Vec<u64> = addresses.into_iter().collect();
        wanted.sort_unstable();
        wanted.dedup();
        let (by_address, shown) = nearest::functions(list, modules, &wanted);
        let hidden = (!shown && !wanted.is_empty()).then(|| addresses::HIDDEN.to_owned());
        Self { by_address, hidden }
    }

    /// Why no function is known; `None` if nothing hides them.
    #[must_use]
    pub fn hidden(&self) -> Option<&str> {
        self.hidden.as_deref()
    }

    /// `io_pin_pages+0x7a`, of a module `ib_umem_get+0x1c [ib_uverbs]`; or [`UNKNOWN`].
    #[must_use]
    pub fn words(&self, address: u64) -> String {
        let Some(function) = self.by_address.get(&address) else {
            return UNKNOWN.into();
        };
        let offset = address - function.start;
        format!("{}+{offset:#x}{}", function.name, function.of_module())
    }

    /// As [`words`](Self::words), without the offset.
    #[must_use]
    pub fn name(&self, address: u64) -> String {
        let function = self.by_address.get(&address);
        function.map_or(UNKNOWN.into(), |function| {
            format!("{}{}", function.name, function.of_module())
        })
    }

    /// A stack from the call of a function on, given and returned with the innermost first: without the means of ours on top
    /// of it, of which 5.10 cannot tell all by name. Where the function is not found, what is known of them is left out.
    #[must_use]
    pub fn since<'a>(&self, stack: &'a [u64], called: &str) -> &'a [u64] {
        let is_called = |address: &u64| {
            let function = self.by_address.get(address);
            function.is_some_and(|function| function.name == called)
        };
        let top = stack.iter().position(is_called).unwrap_or_else(|| {
            let ours = stack.iter();
            ours.take_while(|address| self.is_of(**address, &OURS))
                .count()
        });
        &stack[top..]
    }

    /// Where the one is who pinned, of a stack with the innermost return address first: the first that is neither GUP itself
    /// nor a means of ours.
    #[must_use]
    pub fn caller(&self, stack: &[u64]) -> Option<u64> {
        let between = |address: u64| self.is_of(address, &OURS) || self.is_of(address, &BETWEEN);
        let mut stack = stack.iter().copied();
        stack.find(|address| !between(*address))
    }

    /// Whether the name of the function of an address starts like one of these.
    fn is_of(&self, address: u64, starts: &[&str]) -> bool {
        let function = self.by_address.get(&address);
        function.is_some_and(|function| {
            let mut starts = starts.iter();
            starts.any(|start| function.name.starts_with(start))
        })
    }
}
