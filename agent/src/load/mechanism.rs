//! fentry or kprobe: which is tried first on this kernel, and why.

use daxscope_common::point::GUP_ENTRIES;

use crate::kernel::preemption::Preemption;

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
pub(super) struct Order<'a> {
    pub(super) mechanisms: &'static [Mechanism],
    preemption: &'a Preemption,
    /// Whether the kernel counts what kprobes miss.
    pub(super) kprobes_count_misses: bool,
    /// Whether requests for user pages are timed.
    latency: bool,
}

impl<'a> Order<'a> {
    /// fentry first, but where the kernel preempts itself: there an fentry program that is preempted stays marked as
    /// running on its CPU, and the kernel leaves it out for every other task (`__bpf_prog_enter_recur`,
    /// kernel/bpf/trampoline.c). Kprobes run with preemption disabled.
    pub(super) fn of(
        choice: Choice,
        preemption: &'a Preemption,
        kprobes_count_misses: bool,
        latency: bool,
    ) -> Self {
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
            kprobes_count_misses,
            latency,
        }
    }

    /// Whether the return of a point tells all that there is to tell, by a mechanism: fexit sees the arguments too.
    pub(super) fn return_tells(&self, point: u32, by: Mechanism) -> bool {
        !self.latency && by == Mechanism::Fentry && (point as usize) < GUP_ENTRIES
    }

    /// What there is to say of a point that is attached by a mechanism of this order.
    pub(super) fn remark(&self, by: Mechanism) -> Option<String> {
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
