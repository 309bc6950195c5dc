//! Attaching the programs of one point, and saying in words why that fails.

use std::{
    error::Error,
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use aya::{Btf, Ebpf, programs::{Program, ProgramError}};
use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_prog_info};

use super::{Mechanism, Mechanisms};
use crate::probes::Point;

/// `ENOTSUPP` of the kernel (include/linux/errno.h), which user space has no name for.
const ENOTSUPP: i32 = 524;

/// Attaches a point by the first mechanism that works; with the mechanism, why the ones before it did not.
pub fn point(
    object: &mut Ebpf,
    point: &Point,
    symbol: &str,
    mechanisms: Mechanisms,
    btf: Option<&Btf>,
) -> Result<(Mechanism, String), String> {
    let mut reasons = vec![];
    for &mechanism in mechanisms {
        match by(object, point, symbol, mechanism, btf) {
            Ok(()) => return Ok((mechanism, reasons.join("; "))),
            Err(reason) => reasons.push(format!("{}: {reason}", mechanism.name())),
        }
    }
    Err(reasons.join("; "))
}

/// The programs of a point, in the order of attachment: the return first, so that no call is seen to begin whose
/// end is not.
pub fn programs(point: &str, mechanism: Mechanism) -> [(bool, String); 2] {
    let (exit, enter) = match mechanism {
        Mechanism::Fentry => ("fexit", "fentry"),
        Mechanism::Kprobe => ("kretprobe", "kprobe"),
    };
    [
        (true, format!("{exit}_{point}")),
        (false, format!("{enter}_{point}")),
    ]
}

fn by(
    object: &mut Ebpf,
    point: &Point,
    symbol: &str,
    mechanism: Mechanism,
    btf: Option<&Btf>,
) -> Result<(), String> {
    let names = programs(point.name, mechanism);
    let wanted = || names.iter().filter(|(exit, _)| !exit || point.returns);
    for (_, name) in wanted() {
        let program = object
            .program_mut(name)
            .ok_or_else(|| format!("the eBPF object has no program {name}"))?;
        if let Err(reason) = start(program, symbol, btf) {
            // One half alone would count what it cannot pair.
            for (_, name) in wanted() {
                if let Some(program) = object.program_mut(name) {
                    // Fails where it was not loaded.
                    let _ = unload(program);
                }
            }
            return Err(reason);
        }
    }
    Ok(())
}

fn start(program: &mut Program, symbol: &str, btf: Option<&Btf>) -> Result<(), String> {
    let no_btf = || "the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)".to_owned();
    let words = |error: ProgramError| words(&error);
    match program {
        Program::FEntry(program) => {
            program.load(symbol, btf.ok_or_else(no_btf)?).map_err(words)?;
            program.attach().map_err(words)?;
        }
        Program::FExit(program) => {
            program.load(symbol, btf.ok_or_else(no_btf)?).map_err(words)?;
            program.attach().map_err(words)?;
        }
        Program::KProbe(program) => {
            program.load().map_err(words)?;
            program.attach(symbol, 0).map_err(words)?;
        }
        _ => return Err("the eBPF object has a program of another type there".into()),
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

/// An error of aya in one line: what failed, and the meaning of the errno in this place.
pub fn words(error: &(dyn Error + 'static)) -> String {
    let mut chain = vec![];
    let mut errno = None;
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<io::Error>();
        errno = errno.or(io.and_then(io::Error::raw_os_error));
        let text = first_and_last(&error.to_string());
        if !chain.iter().any(|seen: &String| seen.contains(&text)) {
            chain.push(text);
        }
        next = error.source();
    }
    if errno == Some(ENOTSUPP) {
        chain.push("its trampoline cannot; before 6.6 not for more than 6 parameters".into());
    }
    chain.join(": ")
}

/// Of a long text such as the verifier's log the first line, and the last that is not statistics.
fn first_and_last(text: &str) -> String {
    const STATISTICS: [&str; 3] = ["processed ", "stack depth ", "verification time "];
    let mut lines = text.lines().map(str::trim).filter(|line| {
        !line.is_empty() && !STATISTICS.iter().any(|start| line.starts_with(start))
    });
    let first = lines.next().unwrap_or_default().trim_end_matches("Verifier output:").trim_end();
    match lines.next_back() {
        Some(last) => format!("{first} … {last}"),
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
