//! Attaching the programs of one point.

use std::{
    collections::HashMap,
    num::NonZero,
    sync::{Mutex, PoisonError},
    thread,
};

use aya::{
    Btf, Ebpf,
    programs::{Program, ProgramError, links::FdLink},
};

use super::{Mechanism, Order, Verdict, failure::Failure, missed::Kprobe};
use crate::probes::Point;

/// Attaches a point by the first mechanism that works, and notes in its verdict why the ones before it did not. Returns
/// the links of kprobes whose misses can be told: they must be kept.
pub fn point(
    object: &mut Ebpf,
    point: &Point,
    verdict: &mut Verdict,
    order: &Order,
    btf: Option<&Btf>,
) -> Vec<Kprobe> {
    let mut reasons = vec![];
    let mut kprobes = vec![];
    for &mechanism in order.mechanisms {
        match by(object, point, verdict.symbol, mechanism, order, btf) {
            Ok(links) => {
                kprobes = links;
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
    kprobes
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

/// Of these, the ones that are needed.
pub fn needed(point: &Point, mechanism: Mechanism, order: &Order) -> Vec<(End, String)> {
    let mut needed: Vec<_> = programs(point.name, mechanism).into();
    needed.retain(|(end, _)| match end {
        End::Entry => !order.return_tells(point.number, mechanism),
        End::Return => point.returns,
    });
    needed
}

fn by(
    object: &mut Ebpf,
    point: &Point,
    symbol: &str,
    mechanism: Mechanism,
    order: &Order,
    btf: Option<&Btf>,
) -> Result<Vec<Kprobe>, Failure> {
    let mut kprobes = vec![];
    let names = needed(point, mechanism, order);
    let wanted = || names.iter();
    for (end, name) in wanted() {
        let program = object
            .program_mut(name)
            .ok_or_else(|| Failure::new(format!("the eBPF object has no program {name}")))?;
        match start(program, symbol, order.kprobes_count_misses, btf) {
            Ok(link) => kprobes.extend(link.map(|link| Kprobe::new(point.number, *end, link))),
            Err(failure) => {
                // One half alone would count what it cannot pair.
                for (_, name) in wanted() {
                    if let Some(program) = object.program_mut(name) {
                        unload(program);
                    }
                }
                return Err(failure);
            }
        }
        if let Ok(info) = program.info()
            && let Some(instructions) = info.verified_instruction_count()
        {
            log::debug!("{name}: the verifier looked at {instructions} instructions");
        }
    }
    Ok(kprobes)
}

/// Loads programs, each for a symbol, on all CPUs at once: the verifier takes longer than everything else at a start. One that
/// cannot be loaded is tried again, and told, when it is to be attached.
pub fn load(object: &mut Ebpf, wanted: &HashMap<String, &str>, btf: Option<&Btf>) {
    let programs = object.programs_mut();
    let programs = programs.filter_map(|(name, program)| Some((wanted.get(name)?, program)));
    let queue = Mutex::new(programs);
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..cpus.min(THREADS) {
            scope.spawn(|| {
                while let Some((symbol, program)) = next() {
                    // Fails where nothing needs it, too.
                    let _ = load_one(program, symbol, btf);
                }
            });
        }
    });
}

/// More would wait for each other.
const THREADS: usize = 8;

fn load_one(program: &mut Program, symbol: &str, btf: Option<&Btf>) -> Result<(), Failure> {
    let no_btf = || Failure::new("the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)".into());
    let loaded = match program {
        Program::FEntry(program) => program.load(symbol, btf.ok_or_else(no_btf)?),
        Program::FExit(program) => program.load(symbol, btf.ok_or_else(no_btf)?),
        Program::KProbe(program) => program.load(),
        _ => Ok(()),
    };
    match loaded {
        Err(ProgramError::AlreadyLoaded) => Ok(()),
        loaded => loaded.map_err(|error| Failure::of(&error)),
    }
}

/// Attaches a program, loaded if it is not yet. Of a kprobe whose misses the kernel counts, the link is taken out of the program, to ask
/// it; such kernels (6.7) have BPF links of perf events (5.15).
fn start(
    program: &mut Program,
    symbol: &str,
    counts_misses: bool,
    btf: Option<&Btf>,
) -> Result<Option<FdLink>, Failure> {
    let of = |error: ProgramError| Failure::of(&error);
    load_one(program, symbol, btf)?;
    match program {
        Program::FEntry(program) => {
            program.attach().map_err(of)?;
        }
        Program::FExit(program) => {
            program.attach().map_err(of)?;
        }
        Program::KProbe(program) => {
            let link = program.attach(symbol, 0).map_err(of)?;
            if counts_misses {
                let link = program.take_link(link).map_err(of)?;
                return FdLink::try_from(link)
                    .map(Some)
                    .map_err(|error| Failure::of(&error));
            }
        }
        _ => {
            return Err(Failure::new(
                "the eBPF object has a program of another type there".into(),
            ));
        }
    }
    Ok(None)
}

/// Detaches a program, and takes it out of the kernel.
pub(super) fn unload(program: &mut Program) {
    // Fails where it was not loaded.
    let _ = match program {
        Program::FEntry(program) => program.unload(),
        Program::FExit(program) => program.unload(),
        Program::KProbe(program) => program.unload(),
        Program::RawTracePoint(program) => program.unload(),
        _ => Ok(()),
    };
}
