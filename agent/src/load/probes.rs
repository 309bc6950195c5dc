//! The probes, once they are attached: what became of each, and what the kernel tells of their programs.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    sync::atomic::AtomicU64,
    time::Duration,
};

use anyhow::{Context as _, Result};
use aya::Ebpf;

use super::{
    attach::{self, End},
    mechanism::Mechanism,
    missed::{self, Runs},
};
use crate::{
    inventory::{Survey, Tables},
    kernel::{facts::Facts, functions::Lists},
    probes::{gup, kernel_pages::Baseline, live, pagemap::Known, sweep::InFlight},
};

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
    kprobes: Vec<missed::Kprobe>,
    pub(crate) in_flight: InFlight,
    pub(crate) known: Known,
    pub(crate) baseline: Baseline,
    /// What functions are called, for those who ask who holds pins.
    pub(crate) lists: Lists,
    pub facts: Facts,
    pub verdicts: Vec<Verdict>,
    /// Whether [`crate::probes::holders`] has anything to tell.
    pub holders: bool,
    /// Open while the kernel is to measure the runs of programs; see [`crate::probes::self_cost`].
    pub(crate) statistics: Option<OwnedFd>,
    /// Nanoseconds that the text of the last scrape took to make; 0 before the first.
    pub(crate) exposition: AtomicU64,
}

/// How long taking the inventory may measure, for all pagemaps together. A TiB of 2M geometry has 8192 page tables, each
/// read in microseconds.
const SURVEY: Duration = Duration::from_secs(1);
/// Readings of the kernel's list after which the table is taken to agree with it, whatever still changes.
const ROUNDS: usize = 8;

impl Probes {
    pub(super) fn new(
        mut object: Ebpf,
        kprobes: Vec<missed::Kprobe>,
        known: Known,
        facts: Facts,
        verdicts: Vec<Verdict>,
        holders: bool,
    ) -> Result<Self> {
        Ok(Self {
            kprobes,
            known,
            baseline: Baseline::default(),
            lists: Lists::open(),
            in_flight: InFlight::take(&mut object)?,
            object,
            facts,
            verdicts,
            holders,
            statistics: None,
            exposition: AtomicU64::new(0),
        })
    }

    /// Notes the pagemaps that were there before the probes, and when counting began. To be called once, right after
    /// loading: the probes are attached first, so that nothing comes or goes unseen in between.
    ///
    /// # Errors
    /// When the table of live pagemaps cannot be written.
    pub fn adopt(&mut self, mut survey: Survey) -> Result<()> {
        let page_shift = self.facts.layout.page_shift;
        let inventory = survey.inventory(SURVEY);
        let pinned = gup::pinned(self)?;
        live::agree(&mut self.object, &inventory.pagemaps, page_shift)?;
        for _ in 0..ROUNDS {
            let Some(there) = survey.again() else { break };
            if !live::agree(&mut self.object, &there, page_shift)? {
                break;
            }
        }
        let surveyor = survey.into_surveyor();
        let tables = surveyor.and_then(|surveyor| {
            let tables = Tables::load(&mut self.object, surveyor);
            tables.map_err(|error| format!("{error:#}"))
        });
        self.known.remember(inventory, &pinned, tables);
        self.known.name(&live::read(&self.object)?);
        self.baseline = Baseline::of(self);
        Ok(())
    }

    /// The object whose maps are to be read.
    pub(crate) fn object(&self) -> &Ebpf {
        &self.object
    }

    /// The same, to be written to.
    pub(crate) fn object_mut(&mut self) -> &mut Ebpf {
        &mut self.object
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

    /// What the kernel left out at each end (`entry`, `return`) of a point: runs of its programs, because the program,
    /// or for kprobes any other, was already running on that CPU (`bpf_prog_info.recursion_misses`), and returns of
    /// calls for which a kretprobe had no instance left. Nothing where the kernel does not count them, rather than a 0
    /// that means nothing.
    #[must_use]
    pub fn missed(&self, verdict: &Verdict) -> Vec<(&'static str, u64)> {
        let Some(mechanism) = verdict.mechanism else {
            return vec![];
        };
        if mechanism == Mechanism::Kprobe && !self.facts.kprobes_count_misses {
            return vec![];
        }
        let missed = |(end, name): (End, String)| {
            let program = self.object.program(&name)?;
            let runs = missed::recursion(program.fd().ok()?.as_fd())?;
            let kprobe = self
                .kprobes
                .iter()
                .find(|kprobe| kprobe.point == verdict.number && kprobe.end == end);
            Some((
                end.name(),
                runs + kprobe.and_then(missed::Kprobe::missed).unwrap_or(0),
            ))
        };
        let programs = attach::programs(verdict.point, mechanism);
        programs.into_iter().filter_map(missed).collect()
    }

    /// The runs of every attached program, by its name. They stand still unless somebody asks for statistics.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (String, Runs)> {
        let attached = self.verdicts.iter().filter_map(|verdict| {
            let mechanism = verdict.mechanism?;
            Some(attach::programs(verdict.point, mechanism))
        });
        attached.flatten().filter_map(|(_, name)| {
            let program = self.object.program(&name)?;
            let runs = missed::runs(program.fd().ok()?.as_fd())?;
            Some((name, runs))
        })
    }

    /// Detaches all, and keeps what was counted: what is read then stands still.
    pub fn detach(&mut self) {
        self.kprobes.clear();
        for (_, program) in self.object.programs_mut() {
            attach::unload(program);
        }
    }

    /// The log of rare anomalies; what is logged is lost unless somebody reads it.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn logger(&mut self) -> Result<aya_log::EbpfLogger<&'static dyn log::Log>> {
        aya_log::EbpfLogger::init(&mut self.object).context("cannot open the eBPF log")
    }
}
