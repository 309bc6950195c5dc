//! Options that more than one verb has.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use crate::load::{self, Mechanism};

/// What decides how probes are attached.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = None::<&'static str>)]
pub struct ProbeArgs {
    /// How to attach: fentry is cheapest, but left out at times where the kernel preempts itself; kprobe misses returns
    /// when many calls sleep at once; auto takes the better one for this kernel, then the other
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    mechanism: Choice,
    /// Read the kernel's types from FILE instead of /sys/kernel/btf/vmlinux
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Choice {
    Auto,
    Fentry,
    Kprobe,
}

impl ProbeArgs {
    /// The mechanisms to try.
    #[must_use]
    pub fn choice(&self) -> load::Choice {
        match self.mechanism {
            Choice::Auto => load::Choice::Auto,
            Choice::Fentry => load::Choice::Only(Mechanism::Fentry),
            Choice::Kprobe => load::Choice::Only(Mechanism::Kprobe),
        }
    }
}

/// What decides how pagemaps are looked at.
#[derive(Args)]
pub struct SurveyArgs {
    /// Time for looking at page tables, of all pagemaps together; beyond it a sample must do
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000)]
    budget: u64,
    /// Read the kernel's types from FILE instead of /sys/kernel/btf/vmlinux
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,
}

impl SurveyArgs {
    /// The time that may be spent.
    #[must_use]
    pub const fn budget(&self) -> Duration {
        Duration::from_millis(self.budget)
    }
}
