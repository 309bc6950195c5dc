//! Attaching the programs of one point, and saying in words why that fails.

use std::{
    error::Error,
    fmt, io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use aya::{
    Btf, Ebpf,
    programs::{Program, ProgramError},
};
use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_prog_info};

use super::{Mechanism, Order, Verdict};
use crate::probes::Point;

/// `ENOTSUPP` of the kernel (include/linux/errno.h), which user space has no name for.
const ENOTSUPP: i32 = 524;

/// Why something failed, in one line, and what can be done about it.
pub struct Failure {
    words: String,
    remedy: Option<&'static str>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.words)?;
        self.remedy
            .map_or(Ok(()), |remedy| write!(f, " ({remedy})"))
    }
}

/// Attaches a point by the first mechanism that works, and notes in its verdict why the ones before it did not.
pub fn point(
    object: &mut Ebpf,
    point: &Point,
    verdict: &mut Verdict,
    order: &Order,
    btf: Option<&Btf>,
) {
    let mut reasons = vec![];
    for &mechanism in order.mechanisms {
        match by(object, point, verdict.symbol, mechanism, btf) {
            Ok(()) => {
                verdict.mechanism = Some(mechanism);
                reasons.extend(order.remark(mechanism));
                break;
            }
            Err(Failure { words, remedy }) => {
                reasons.push(format!("{}: {words}", mechanism.name()));
                verdict.remedy = verdict.remedy.or(remedy);
            }
        }
    }
    verdict.reason = reasons.join("; ");
}

/// An end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Entry,
    Return,
}

impl End {
    /// As in the label `end`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Return => "return",
        }
    }
}

/// The programs of a point, in the order of attachment: the return first, so that no call is seen to begin whose
/// end is not.
pub fn programs(point: &str, mechanism: Mechanism) -> [(End, String); 2] {
    let (exit, enter) = match mechanism {
        Mechanism::Fentry => ("fexit", "fentry"),
        Mechanism::Kprobe => ("kretprobe", "kprobe"),
    };
    [
        (End::Return, format!("{exit}_{point}")),
        (End::Entry, format!("{enter}_{point}")),
    ]
}

fn by(
    object: &mut Ebpf,
    point: &Point,
    symbol: &str,
    mechanism: Mechanism,
    btf: Option<&Btf>,
) -> Result<(), Failure> {
    let names = programs(point.name, mechanism);
    let wanted = || {
        let ends = names.iter();
        ends.filter(|(end, _)| *end == End::Entry || point.returns)
    };
    for (_, name) in wanted() {
        let program = object
            .program_mut(name)
            .ok_or_else(|| Failure::new(format!("the eBPF object has no program {name}")))?;
        if let Err(failure) = start(program, symbol, btf) {
            // One half alone would count what it cannot pair.
            for (_, name) in wanted() {
                if let Some(program) = object.program_mut(name) {
                    // Fails where it was not loaded.
                    let _ = unload(program);
                }
            }
            return Err(failure);
        }
    }
    Ok(())
}

fn start(program: &mut Program, symbol: &str, btf: Option<&Btf>) -> Result<(), Failure> {
    let no_btf = || Failure::new("the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)".into());
    let of = |error: ProgramError| Failure::of(&error);
    match program {
        Program::FEntry(program) => {
            program.load(symbol, btf.ok_or_else(no_btf)?).map_err(of)?;
            program.attach().map_err(of)?;
        }
        Program::FExit(program) => {
            program.load(symbol, btf.ok_or_else(no_btf)?).map_err(of)?;
            program.attach().map_err(of)?;
        }
        Program::KProbe(program) => {
            program.load().map_err(of)?;
            program.attach(symbol, 0).map_err(of)?;
        }
        _ => {
            return Err(Failure::new(
                "the eBPF object has a program of another type there".into(),
            ));
        }
    }
    Ok(())
}

fn unload(program: &mut Program) -> Result<(), ProgramError> {
    match program {
        Program::FEntry(program) => program.unload(),
        Program::FExit(program) => program.unload(),
        Program::KProbe(program) => program.unload(),
        _ => Ok(()),
    }
}

impl Failure {
    fn new(words: String) -> Self {
        Self {
            words,
            remedy: None,
        }
    }

    /// From an error of aya, with what its errno means in this place.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut words: Vec<String> = vec![];
        let mut errno = None;
        let mut next = Some(error);
        while let Some(error) = next {
            let io = error.downcast_ref::<io::Error>();
            errno = errno.or(io.and_then(io::Error::raw_os_error));
            let text = first_and_last(&error.to_string());
            if !words.iter().any(|seen| seen.contains(&text)) {
                words.push(text);
            }
            next = error.source();
        }
        // The verifier says EACCES too, but has more to say than that.
        let rejected = words.first().is_some_and(|words| words.contains(ELLIPSIS));
        let remedy = match errno {
            Some(libc::EPERM | libc::EACCES) if !rejected => Some(
                "the kernel refused: probes need CAP_BPF and CAP_PERFMON, kprobes also kernel.perf_event_paranoid at \
                 most 2 or CAP_SYS_ADMIN, and neither works against lockdown=confidentiality or a local policy that \
                 forbids tracing programs",
            ),
            Some(libc::ENOENT) => Some(
                "this kernel was built without kprobes (CONFIG_KPROBE_EVENTS): nothing but another kernel helps",
            ),
            _ => None,
        };
        if errno == Some(ENOTSUPP) {
            words.push(
                "its trampoline cannot; on older kernels not for more than 6 parameters".into(),
            );
        }
        Self {
            words: words.join(": "),
            remedy,
        }
    }
}

/// Stands for the middle of the verifier's log.
const ELLIPSIS: char = '…';

/// Of a long text such as the verifier's log the first line, and the last that is not statistics.
fn first_and_last(text: &str) -> String {
    const STATISTICS: [&str; 4] = [
        "processed ",
        "stack depth ",
        "subprog ",
        "verification time ",
    ];
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !STATISTICS.iter().any(|start| line.starts_with(start)));
    let first = lines
        .next()
        .unwrap_or_default()
        .trim_end_matches("Verifier output:")
        .trim_end_matches([' ', '.']);
    match lines.next_back() {
        Some(last) => format!("{first} {ELLIPSIS} {last}"),
        None => first.into(),
    }
}

/// `bpf_prog_info.recursion_misses` of a program; `None` on kernels that do not know it (before 5.12).
pub fn recursion_misses(program: BorrowedFd) -> Option<u64> {
    // SAFETY: both are plain C structs of integers, for which zero is a value.
    let (mut info, mut attr) = unsafe { std::mem::zeroed::<(bpf_prog_info, bpf_attr)>() };
    // SAFETY: `info` is the member of the union that this command reads.
    let request = unsafe { &mut attr.info };
    request.bpf_fd = program.as_raw_fd().unsigned_abs();
    request.info = (&raw mut info) as u64;
    request.info_len = u32::try_from(size_of::<bpf_prog_info>()).ok()?;
    // SAFETY: the kernel writes at most `info_len` bytes to `info`, which outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            bpf_cmd::BPF_OBJ_GET_INFO_BY_FD,
            &raw mut attr,
            size_of::<bpf_attr>(),
        )
    };
    // SAFETY: as above; the kernel wrote back how much it knows.
    let known = unsafe { attr.info.info_len } as usize;
    let needed = std::mem::offset_of!(bpf_prog_info, recursion_misses) + size_of::<u64>();
    (result == 0 && known >= needed).then_some(info.recursion_misses)
}
