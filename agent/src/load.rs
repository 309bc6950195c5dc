//! Loads the eBPF object and attaches its probes, each by the best mechanism that the kernel allows. Every point
//! gets a verdict with its reason; that a point cannot be attached is never an error of the whole.

mod attach;

use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result, ensure};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use daxscope_common::layout::Layout;

use self::attach::End;
use crate::{
    kernel::{
        Kernel, facts::Facts, preemption::Preemption, privileges::Privileges, symbols::Traceable,
    },
    probes::{self, Need, Point, sweep::InFlight},
};

/// The kernel side, built by `build.rs`; empty in a debug build on a machine without the tools for it.
pub static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/daxscope.bpf.o"));

/// How a point is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// fentry and fexit: a BPF trampoline, the cheapest; misses nothing where the kernel does not preempt itself.
    Fentry,
    /// kprobe and kretprobe: a breakpoint or ftrace handler; misses returns beyond its pool of instances.
    Kprobe,
}

impl Mechanism {
    /// As in the label `mechanism`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
        }
    }
}

/// Which mechanisms to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The better one for this kernel, then the other.
    Auto,
    Only(Mechanism),
}

/// The mechanisms to try, in order.
struct Order<'a> {
    mechanisms: &'static [Mechanism],
    preemption: &'a Preemption,
}

impl<'a> Order<'a> {
    /// fentry first, but where the kernel preempts itself: there an fentry program that is preempted stays marked as
    /// running on its CPU, and the kernel leaves it out for every other task (`__bpf_prog_enter_recur`,
    /// kernel/bpf/trampoline.c). Kprobes run with preemption disabled.
    fn of(choice: Choice, preemption: &'a Preemption) -> Self {
        use Mechanism::{Fentry, Kprobe};
        let mechanisms: &[_] = match (choice, preemption) {
            (Choice::Only(Fentry), _) => &[Fentry],
            (Choice::Only(Kprobe), _) => &[Kprobe],
            (Choice::Auto, Preemption::No) => &[Fentry, Kprobe],
            (Choice::Auto, Preemption::May(_)) => &[Kprobe, Fentry],
        };
        Self {
            mechanisms,
            preemption,
        }
    }

    /// What there is to say of a point that is attached by a mechanism of this order.
    fn remark(&self, by: Mechanism) -> Option<String> {
        let Preemption::May(how) = self.preemption else {
            return None;
        };
        match by {
            Mechanism::Fentry => Some(format!(
                "this kernel preempts itself ({how}) and leaves out runs of fentry programs, see probe_missed_total"
            )),
            Mechanism::Kprobe if self.mechanisms.len() > 1 => {
                Some(format!("preferred: this kernel preempts itself ({how})"))
            }
            Mechanism::Kprobe => None,
        }
    }
}

/// What became of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub family: &'static str,
    pub point: &'static str,
    pub number: u32,
    /// The kernel function chosen or, if none can be, the one wished for most.
    pub symbol: &'static str,
    /// How it is attached; `None` if it is not.
    pub mechanism: Option<Mechanism>,
    /// Whether the picture is incomplete without it, on this kernel.
    pub required: bool,
    /// Why it is not attached, or not by the better mechanism; else empty.
    pub reason: String,
    /// What can be done about it, where something can.
    pub remedy: Option<&'static str>,
}

/// The loaded object, with everything that is needed to make sense of its maps. Dropping it detaches the probes.
pub struct Probes {
    object: Ebpf,
    pub(crate) in_flight: InFlight,
    pub facts: Facts,
    pub verdicts: Vec<Verdict>,
}

/// Loads the object and attaches all that can be.
///
/// # Errors
/// When nothing can be loaded at all, with the reason and the remedy.
pub fn load(kernel: &Kernel, choice: Choice, log: bool) -> Result<Probes> {
    ensure!(
        !OBJECT.is_empty(),
        "this daxscope was built without its eBPF object (a debug build on a machine that lacks the tools for it): \
         `cargo xtask setup` installs them, then build again"
    );
    if let Some(missing) = Privileges::read().missing() {
        anyhow::bail!("{missing}");
    }
    let order = Order::of(choice, &kernel.preemption);
    let mut facts = Facts::read(kernel.btf.as_ref());
    let choices: Vec<_> = probes::points()
        .map(|(family, point)| (family, point, choose(kernel, point)))
        .collect();
    for (_, point, choice) in &choices {
        if let Ok(symbol) = choice
            && let Some(parameters) = parameters(kernel, symbol)
        {
            facts.layout.args[point.number as usize] = u32::try_from(parameters.len())?;
        }
    }
    let btf = aya::Btf::from_sys_fs().ok();
    let mut object = object(&facts.layout, btf.as_ref(), log)?;
    let mut verdicts: Vec<Verdict> = vec![];
    for (family, point, choice) in choices {
        let attached = |number: &u32| {
            let found = |verdict: &&Verdict| verdict.number == *number;
            verdicts
                .iter()
                .find(found)
                .filter(|v| v.mechanism.is_some())
        };
        let mut verdict = Verdict {
            family: family.name,
            point: point.name,
            number: point.number,
            symbol: choice.as_ref().map_or(point.symbols[0], |symbol| *symbol),
            mechanism: None,
            required: required(kernel, point),
            reason: String::new(),
            remedy: None,
        };
        if let Need::InsteadOf(others) = point.need
            && let Some(other) = others.iter().find_map(attached)
        {
            verdict.required = false;
            verdict.reason = format!("not needed: {} tells it", other.symbol);
        } else {
            match choice {
                Ok(_) => attach::point(&mut object, point, &mut verdict, &order, btf.as_ref()),
                Err(reason) => verdict.reason = reason,
            }
        }
        log::debug!("{verdict:?}");
        verdicts.push(verdict);
    }
    Ok(Probes {
        in_flight: InFlight::take(&mut object)?,
        object,
        facts,
        verdicts,
    })
}

impl Probes {
    /// The object whose maps are to be read.
    pub(crate) fn object(&self) -> &Ebpf {
        &self.object
    }

    /// The function on which a point is attached, if it is.
    #[must_use]
    pub fn attached(&self, number: u32) -> Option<&'static str> {
        let found = |verdict: &&Verdict| verdict.number == number && verdict.mechanism.is_some();
        self.verdicts
            .iter()
            .find(found)
            .map(|verdict| verdict.symbol)
    }

    /// Label value of a value of `enum memory_type`.
    #[must_use]
    pub fn memory_type(&self, value: u32) -> String {
        let types = &self.facts.memory_types;
        let found = types.iter().find(|(found, _)| *found == value);
        found.map_or_else(|| "unknown".into(), |(_, name)| name.clone())
    }

    /// Runs of a point's programs that the kernel left out because the program, or for kprobes any other, was
    /// already running on that CPU: `bpf_prog_info.recursion_misses`, by end (`entry`, `return`). Nothing where the
    /// kernel does not count them, rather than a 0 that means nothing.
    #[must_use]
    pub fn missed_runs(&self, verdict: &Verdict) -> Vec<(&'static str, u64)> {
        let Some(mechanism) = verdict.mechanism else {
            return vec![];
        };
        if mechanism == Mechanism::Kprobe && !self.facts.kprobes_count_misses {
            return vec![];
        }
        let missed = |(end, name): (End, String)| {
            let program = self.object.program(&name)?;
            let missed = attach::recursion_misses(program.fd().ok()?.as_fd())?;
            Some((end.name(), missed))
        };
        let programs = attach::programs(verdict.point, mechanism);
        programs.into_iter().filter_map(missed).collect()
    }

    /// The log of rare anomalies; what is logged is lost unless somebody reads it.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn logger(&mut self) -> Result<aya_log::EbpfLogger<&'static dyn log::Log>> {
        aya_log::EbpfLogger::init(&mut self.object).context("cannot open the eBPF log")
    }
}

fn object(layout: &Layout, btf: Option<&aya::Btf>, log: bool) -> Result<Ebpf> {
    // Levels of aya-log are those of `log::Level`; 0 lets the verifier remove every log statement.
    let level = if log { log::Level::Warn as u8 } else { 0 };
    EbpfLoader::new()
        .btf(btf)
        .override_global("LAYOUT", layout, true)
        .override_global("AYA_LOG_LEVEL", &level, false)
        .load(OBJECT)
        .map_err(|error| anyhow::anyhow!("{}", attach::Failure::of(&error)))
        .context("cannot create the eBPF maps")
}

/// The function that a point is to sit on, or why there is none.
fn choose(kernel: &Kernel, point: &Point) -> Result<&'static str, String> {
    let mut reason = String::new();
    for symbol in point.symbols {
        match kernel.symbols.traceable(symbol) {
            Traceable::Yes | Traceable::Unknown => return check_parameters(kernel, point, symbol),
            Traceable::No => {
                reason = format!(
                    "{symbol} cannot be traced on this kernel: it is notrace, not in available_filter_functions"
                );
            }
            Traceable::Absent => {
                if reason.is_empty() {
                    reason = format!("this kernel has no {}", point.symbols.join(" or "));
                }
            }
        }
    }
    Err(reason)
}

/// Refuses a function whose parameters are not where the programs read them.
fn check_parameters(
    kernel: &Kernel,
    point: &Point,
    symbol: &'static str,
) -> Result<&'static str, String> {
    let Some(parameters) = parameters(kernel, symbol) else {
        return Ok(symbol);
    };
    for (position, names) in point.reads {
        let found = parameters.get(*position).map_or("nothing", String::as_str);
        if !names.contains(&found) {
            return Err(format!(
                "parameter {position} of {symbol} is {found} on this kernel, not {}: daxscope does not know this signature",
                names.join(" or ")
            ));
        }
    }
    Ok(symbol)
}

fn parameters(kernel: &Kernel, symbol: &str) -> Option<Vec<String>> {
    let btf = kernel.btf.as_ref().ok()?;
    btf.function(symbol).map(|signature| signature.parameters)
}

/// Whether a point that is not attached leaves a hole.
fn required(kernel: &Kernel, point: &Point) -> bool {
    match point.need {
        Need::Always => true,
        Need::Extra => false,
        Need::IfPresent | Need::InsteadOf(_) => {
            let absent = |symbol: &&str| kernel.symbols.traceable(symbol) == Traceable::Absent;
            !point.symbols.iter().all(absent)
        }
    }
}
