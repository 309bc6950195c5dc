//! The function at or below an address, from the kernel's list of symbols, and how far it may reach, from that of modules.

use std::{collections::HashMap, io::BufRead};

/// What the kernel's own text lies between: the list has starts of functions, and no ends.
const TEXT: [&str; 2] = ["_stext", "_etext"];
/// Modules that are none: pages of generated code, which say themselves what they are (kernel/kallsyms.c, 5.10 to 7.3).
const GENERATED: [&str; 3] = ["bpf", "__builtin__ftrace", "__builtin__kprobes"];
/// More bytes than a program of ours or a trampoline has; nothing tells where they end.
const GENERATED_BYTES: u64 = 64 << 10;
/// Where a kretprobe lets a function return to (`arch/x86/kernel/kprobes/core.c` of 5.10, `rethook.c` since 5.18): the one
/// kind of return address with no call before it. A stack that the kernel cannot unwind further, as 5.10 cannot, ends there.
const TRAMPOLINES: [&str; 3] = [
    "kretprobe_trampoline",
    "__kretprobe_trampoline",
    "arch_rethook_trampoline",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub start: u64,
    pub name: String,
    pub module: Option<String>,
}

impl Function {
    /// ` [ib_uverbs]`; nothing of the kernel itself.
    pub fn of_module(&self) -> String {
        let module = self.module.as_ref();
        module.map_or(String::new(), |module| format!(" [{module}]"))
    }
}

/// The function that each wanted address lies in, where one is known, and whether the list shows any address. `wanted` is
/// sorted.
pub fn functions(
    list: impl BufRead,
    modules: &str,
    wanted: &[u64],
) -> (HashMap<u64, Function>, bool) {
    let Nearest {
        found,
        text: [start, end],
        shown,
    } = nearest(list, wanted);
    let ends = ends(modules);
    let within = |address: u64, function: &Function| match function.module.as_deref() {
        None => (start..=end).contains(&address),
        Some(module) if GENERATED.contains(&module) => address - function.start <= GENERATED_BYTES,
        Some(module) => ends.get(module).is_some_and(|end| address <= *end),
    };
    let named = wanted
        .iter()
        .zip(found)
        .filter_map(|(address, found)| Some((*address, found.filter(|f| within(*address, f))?)));
    (named.collect(), shown)
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
