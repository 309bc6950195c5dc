//! Which functions return addresses lie in. The kernel's list has some hundred thousand lines: it is read when somebody
//! asks, and only what was asked for is kept.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader, Read as _, Seek as _},
};

use super::addresses::{self, SYMBOLS};

const MODULES: &str = "/proc/modules";
/// What an address is called that nothing is known of.
pub const UNKNOWN: &str = "[unknown]";
/// What the kernel's own text lies between: the list has starts of functions, and no ends.
const TEXT: [&str; 2] = ["_stext", "_etext"];
/// Modules that are none: pages of generated code, which say themselves what they are (kernel/kallsyms.c, 5.10 to 7.3).
const GENERATED: [&str; 3] = ["bpf", "__builtin__ftrace", "__builtin__kprobes"];
/// More bytes than a program of ours or a trampoline has; nothing tells where they end.
const GENERATED_BYTES: u64 = 64 << 10;
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

/// Where a kretprobe lets a function return to (`arch/x86/kernel/kprobes/core.c` of 5.10, `rethook.c` since 5.18): the one
/// kind of return address with no call before it. A stack that the kernel cannot unwind further, as 5.10 cannot, ends there.
const TRAMPOLINES: [&str; 3] = [
    "kretprobe_trampoline",
    "__kretprobe_trampoline",
    "arch_rethook_trampoline",
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

#[derive(Clone, Debug, PartialEq, Eq)]
struct Function {
    start: u64,
    name: String,
    module: Option<String>,
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
        let Nearest {
            found,
            text: [start, end],
            shown,
        } = nearest(list, &wanted);
        let hidden = (!shown && !wanted.is_empty()).then(|| addresses::HIDDEN.to_owned());
        let ends = ends(modules);
        let within = |address: u64, function: &Function| match function.module.as_deref() {
            None => (start..=end).contains(&address),
            Some(module) if GENERATED.contains(&module) => {
                address - function.start <= GENERATED_BYTES
            }
            Some(module) => ends.get(module).is_some_and(|end| address <= *end),
        };
        let named = wanted
            .into_iter()
            .zip(found)
            .filter_map(|(address, found)| {
                let function = found.filter(|function| within(address, function))?;
                Some((address, function))
            });
        Self {
            by_address: named.collect(),
            hidden,
        }
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

impl Function {
    fn of_module(&self) -> String {
        let module = self.module.as_ref();
        module.map_or(String::new(), |module| format!(" [{module}]"))
    }
}

/// What the list says.
struct Nearest {
    /// The function at or below each wanted address.
    found: Vec<Option<Function>>,
    /// Where the kernel's text starts and ends; nowhere if that is not listed.
    text: [u64; 2],
    /// Whether any address is shown.
    shown: bool,
}

/// `wanted` is sorted.
fn nearest(mut list: impl BufRead, wanted: &[u64]) -> Nearest {
    let mut found: Vec<Option<Function>> = vec![None; wanted.len()];
    let mut text = [u64::MAX, 0];
    let mut shown = false;
    let mut line = String::new();
    loop {
        match list.read_line(&mut line) {
            Ok(0) => break,
            Ok(_) => {}
            // What is nearest of a part of the list need not be nearest.
            Err(_) => {
                found.fill(None);
                break;
            }
        }
        if let Some((address, kind, name, module)) = parse(&line) {
            shown = true;
            for (bound, called) in text.iter_mut().zip(TEXT) {
                if name == called && module.is_none() {
                    *bound = address;
                }
            }
            // A return address is behind its call, which may be the last of its function: what starts there is another.
            let from = address.saturating_add(u64::from(!TRAMPOLINES.contains(&name)));
            let above = wanted.partition_point(|wanted| *wanted < from);
            if matches!(kind, "t" | "T" | "w" | "W")
                && let Some(nearest) = found.get_mut(above)
                && nearest
                    .as_ref()
                    .is_none_or(|nearest| nearest.start < address)
            {
                *nearest = Some(Function {
                    start: address,
                    name: name.to_owned(),
                    module: module.map(str::to_owned),
                });
            }
        }
        line.clear();
    }
    // Each has what starts between it and the one below; where nothing does, that of the one below.
    for n in 1..found.len() {
        if found[n].is_none() {
            let (below, rest) = found.split_at_mut(n);
            rest[0].clone_from(&below[n - 1]);
        }
    }
    Nearest { found, text, shown }
}

/// Address, type, name and module of a line; `None` if it hides its address.
fn parse(line: &str) -> Option<(u64, &str, &str, Option<&str>)> {
    let mut columns = line.split_ascii_whitespace();
    let address = u64::from_str_radix(columns.next()?, 16).ok()?;
    let (kind, name) = (columns.next()?, columns.next()?);
    let module = columns.next();
    let module = module.and_then(|module| module.strip_prefix('[')?.strip_suffix(']'));
    (address != 0).then_some((address, kind, name, module))
}

/// Where modules end, by name (`m_show`, kernel/module/procfs.c): name, size, users, by whom, state, start of its text. Since
/// 6.4 the size is that of all its parts, which need not follow each other: it only is a bound.
fn ends(modules: &str) -> HashMap<&str, u64> {
    modules
        .lines()
        .filter_map(|line| {
            let mut columns = line.split_ascii_whitespace();
            let (name, size) = (columns.next()?, columns.next()?.parse::<u64>().ok()?);
            let start = columns.nth(3)?.strip_prefix("0x")?;
            let start = u64::from_str_radix(start, 16).ok()?;
            (start != 0).then_some((name, start.checked_add(size)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff81000000 T first
ffffffff81000100 T pin_user_pages_fast
ffffffff81000200 t io_pin_pages
ffffffff81000300 t gup_fast_fallback.isra.0
ffffffff81000400 T vfs_read
ffffffff81000400 W __alias_of_vfs_read
ffffffff81000480 t kretprobe_trampoline
ffffffff81000500 T _etext
ffffffff82000000 D init_task
ffffffffc0001000 t umem_get\t[ib_uverbs]
ffffffffc0001100 d table\t[ib_uverbs]
ffffffffc0100000 t bpf_prog_6deef7357e7b4530_fexit\t[bpf]
ffffffffc0200000 t bpf_trampoline_6442\t[bpf]
";
    const MODULES: &str = "ib_uverbs 8192 0 - Live 0xffffffffc0001000
dead 4096 1 ib_uverbs, Live 0x0000000000000000\n";

    fn functions(addresses: &[u64]) -> Functions {
        Functions::from(LIST.as_bytes(), MODULES, addresses.iter().copied())
    }

    #[test]
    fn an_address_lies_in_the_nearest_function_below() {
        for (address, words) in [
            (0xffff_ffff_8100_021f, "io_pin_pages+0x1f"),
            // Behind a call that does not return, at the end of its function.
            (0xffff_ffff_8100_0300, "io_pin_pages+0x100"),
            (0xffff_ffff_8100_0301, "gup_fast_fallback.isra.0+0x1"),
            (0xffff_ffff_8100_0410, "vfs_read+0x10"),
            (0xffff_ffff_8100_0480, "kretprobe_trampoline+0x0"),
            (0xffff_ffff_8100_0481, "kretprobe_trampoline+0x1"),
            (0xffff_ffff_8100_047f, "vfs_read+0x7f"),
            (0xffff_ffff_8100_0500, "kretprobe_trampoline+0x80"),
            (0xffff_ffff_c000_1180, "umem_get+0x180 [ib_uverbs]"),
            (
                0xffff_ffff_c010_0020,
                "bpf_prog_6deef7357e7b4530_fexit+0x20 [bpf]",
            ),
        ] {
            assert_eq!(functions(&[address]).words(address), words);
        }
    }

    #[test]
    fn all_at_once_is_as_one_by_one() {
        let all: Vec<u64> = (0xffff_ffff_80ff_ff00..0xffff_ffff_8100_0600)
            .chain(0xffff_ffff_c000_0f00..0xffff_ffff_c000_1200)
            .rev()
            .step_by(7)
            .collect();
        let together = functions(&all);
        for address in &all {
            assert_eq!(
                together.words(*address),
                functions(&[*address]).words(*address)
            );
        }
    }

    #[test]
    fn what_lies_in_no_function_is_unknown() {
        let outside = [
            0,
            0x7f00_0000_0000,
            0xffff_ffff_8100_0000,
            0xffff_ffff_8100_0501,
            0xffff_ffff_8200_0010,
            // Beyond the module's end.
            0xffff_ffff_c000_3001,
            // Beyond what is generated.
            u64::MAX,
        ];
        let functions = functions(&outside);
        for address in outside {
            assert_eq!(functions.words(address), UNKNOWN, "{address:x}");
        }
        let endless = LIST.replace("_etext", "etext_");
        let functions = Functions::from(endless.as_bytes(), "", [0xffff_ffff_8100_0410]);
        assert_eq!(functions.words(0xffff_ffff_8100_0410), UNKNOWN);
    }

    #[test]
    fn the_caller_is_outside_of_gup_and_of_ourselves() {
        let (program, trampoline) = (0xffff_ffff_c010_0020, 0xffff_ffff_c020_0010);
        let (pin, fast) = (0xffff_ffff_8100_0110, 0xffff_ffff_8100_0310);
        let (caller, read) = (0xffff_ffff_8100_0250, 0xffff_ffff_8100_0410);
        let module = 0xffff_ffff_c000_1010;
        let all = [program, trampoline, pin, fast, caller, read, module];
        let trampolined = 0xffff_ffff_8100_0480;
        let functions = functions(&[&all[..], &[trampolined]].concat());
        let io = "io_pin_pages+0x50";
        for (stack, words) in [
            (&all[..], io),
            (&[caller, read], io),
            (&[pin, module, read], "umem_get+0x10 [ib_uverbs]"),
            // Not what comes after: that may have been anybody.
            (&[trampoline, 0x1234, caller], UNKNOWN),
            (&[pin], UNKNOWN),
            (&[trampolined], UNKNOWN),
            (&[trampolined, caller], io),
            (&[], UNKNOWN),
        ] {
            let caller = functions.caller(stack);
            let caller = caller.map_or(UNKNOWN.into(), |address| functions.words(address));
            assert_eq!(caller, words, "{stack:x?}");
        }
    }

    #[test]
    fn hidden_addresses_are_unknown_with_the_reason() {
        let zeros: String = LIST
            .lines()
            .flat_map(|line| ["0000000000000000", &line[16..], "\n"])
            .collect();
        let functions = Functions::from(zeros.as_bytes(), MODULES, [0xffff_ffff_8100_0110]);
        assert_eq!(functions.words(0xffff_ffff_8100_0110), UNKNOWN);
        let reason = functions.hidden().expect("a reason");
        assert!(reason.contains("kptr_restrict"), "{reason}");
    }
}
