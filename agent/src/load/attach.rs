//! Attaching the programs of one point.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use aya::{
    Btf, Ebpf,
    programs::{Program, ProgramError},
};
use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_prog_info};

use super::{Mechanism, Order, Verdict, failure::Failure};
use crate::probes::Point;

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
