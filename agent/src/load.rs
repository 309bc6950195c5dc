//! Loads the eBPF object and attaches its probes, each by the best mechanism that the kernel allows. Every point
//! gets a verdict with its reason; that a point cannot be attached is never an error of the whole.

mod attach;
mod cast;
mod failure;
mod funnel;
mod lean;
mod mapping;
mod mechanism;
mod missed;
mod symbol;

use std::{
    collections::HashMap,
    os::fd::{AsFd as _, OwnedFd},
    sync::atomic::AtomicU64,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use aya::{Btf, Ebpf, include_bytes_aligned};
use daxscope_common::{layout::Layout, session::Session, tables::Paging};

pub use self::mechanism::{Choice, Mechanism};
pub use self::missed::Runs;
use self::{
    attach::End,
    mechanism::Order,
    symbol::{choose, parameters, required},
};
pub(crate) use self::{failure::Failure, lean::loader, mapping::Mapping};
use crate::{
    inventory::{Survey, Tables},
    kernel::{Kernel, facts::Facts, functions::Lists, privileges::Privileges},
    probes::{
        self, Family, Need, Point, gup,
        kernel_pages::Baseline,
        live,
        pagemap::Known,
        session::{self, Wants},
        sweep::InFlight,
    },
};

/// The kernel side, built by `build.rs`; empty in a debug build on a machine without the tools for it.
pub static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/daxscope.bpf.o"));

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
    /// Whether [`probes::holders`] has anything to tell.
    pub holders: bool,
    /// Open while the kernel is to measure the runs of programs; see [`probes::self_cost`].
    pub(crate) statistics: Option<OwnedFd>,
    /// Nanoseconds that the text of the last scrape took to make; 0 before the first.
    pub(crate) exposition: AtomicU64,
}

/// What is decided before loading.
pub struct Options {
    pub choice: Choice,
    /// Whether losses are logged as they happen.
    pub log: bool,
    /// Whether it is remembered who holds pins.
    pub holders: bool,
    /// Whether requests for user pages are timed.
    pub latency: bool,
    /// What to count in place of what a daemon counts.
    pub session: Option<Wants>,
}

/// Loads the object and attaches all that can be. `survey` tells where the page tables are, and what functions call; a
/// session does without. Of the kernel, its types are let go: they are what takes most memory.
///
/// # Errors
/// When nothing can be loaded at all, with the reason and the remedy.
pub fn load(kernel: &mut Kernel, survey: Option<&mut Survey>, options: &Options) -> Result<Probes> {
    ensure!(
        !OBJECT.is_empty(),
        "this daxscope was built without its eBPF object (a debug build on a machine that lacks the tools for it): \
         `cargo xtask setup` installs them, then build again"
    );
    if let Some(missing) = Privileges::read().missing() {
        anyhow::bail!("{missing}");
    }
    let mut facts = Facts::read(kernel.btf.as_ref());
    let order = Order::of(
        options.choice,
        &kernel.preemption,
        facts.kprobes_count_misses,
        options.latency,
    );
    let wanted = |point: &Point| {
        let session = options.session.as_ref();
        session.is_none_or(|session| session.points.contains(&point.number))
    };
    let choices: Choices = probes::points()
        .filter(|(_, point)| wanted(point))
        .map(|(family, point)| (family, point, choose(kernel, point)))
        .collect();
    for (_, point, choice) in &choices {
        if let Ok(symbol) = choice
            && let Some(parameters) = parameters(kernel, symbol)
        {
            facts.layout.args[point.number as usize] = u32::try_from(parameters.len())?;
        }
    }
    let chosen = choices
        .iter()
        .filter_map(|(.., choice)| choice.as_ref().ok());
    let btf = lean::functions(kernel, chosen.copied());
    let known = Known::new(kernel);
    // The largest thing that we hold, and nobody asks it any more.
    kernel.btf = Err(anyhow::anyhow!("the types of the kernel were let go"));
    facts.layout.track_holders = u32::from(options.holders);
    facts.layout.latency = u32::from(options.latency);
    let paging = survey.as_ref().map(|survey| survey.paging());
    // Where only that one is watched, nothing tells how long giving back takes.
    let funnel = match survey {
        Some(survey) => funnel::check(kernel, survey),
        None => Err(anyhow::anyhow!("a session times each of them")),
    };
    log::debug!("all functions that give pins back go through: {funnel:?}");
    facts.layout.funnel = u32::from(funnel.is_ok());
    let filled = facts.cast.as_ref().map(|cast| cast::put(OBJECT, cast));
    let bytes = filled.as_deref().unwrap_or(OBJECT);
    let paging = paging.unwrap_or(Paging::UNKNOWN);
    let mut object = object(bytes, &facts.layout, &paging, options)?;
    if let Some(wants) = &options.session {
        session::prepare(&mut object, wants)?;
    }
    let means = Means {
        kernel,
        order,
        btf,
        funnel: funnel.is_ok(),
    };
    means.load(&mut object, &choices);
    let (verdicts, mut kprobes) = means.attach(&mut object, choices);
    missed::find(&mut kprobes);
    Ok(Probes {
        kprobes,
        known,
        baseline: Baseline::default(),
        lists: Lists::open(),
        in_flight: InFlight::take(&mut object)?,
        object,
        facts,
        verdicts,
        holders: options.holders,
        statistics: None,
        exposition: AtomicU64::new(0),
    })
}

/// A point, its family, and the function that it is to sit on or why there is none.
type Choices = Vec<(
    &'static Family,
    &'static Point,
    Result<&'static str, String>,
)>;

/// What programs are loaded and attached by.
struct Means<'a> {
    kernel: &'a Kernel,
    order: Order<'a>,
    btf: Option<Btf>,
    /// Whether all functions that give pins back go through one.
    funnel: bool,
}

impl Means<'_> {
    /// Loads what will surely be attached.
    fn load(&self, object: &mut Ebpf, choices: &Choices) {
        let first = self.order.mechanisms[0];
        let mut early = HashMap::new();
        for (_, point, choice) in choices {
            // Others may turn out not to be needed.
            let surely = !matches!(point.need, Need::InsteadOf(_) | Need::UnlessAllReach(_));
            if let Ok(symbol) = choice
                && (surely || matches!(point.need, Need::UnlessAllReach(_)) && !self.funnel)
            {
                let names = attach::needed(point, first, &self.order);
                early.extend(names.into_iter().map(|(_, name)| (name, *symbol)));
            }
        }
        attach::load(object, &early, self.btf.as_ref());
    }

    /// Attaches all that can be, in the order of the choices.
    fn attach(&self, object: &mut Ebpf, choices: Choices) -> (Vec<Verdict>, Vec<missed::Kprobe>) {
        let mut verdicts: Vec<Verdict> = vec![];
        let mut kprobes = vec![];
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
                required: required(self.kernel, point),
                reason: String::new(),
                remedy: None,
            };
            let other = match point.need {
                Need::InsteadOf(others) => others.iter().find_map(attached),
                Need::UnlessAllReach(other) if self.funnel => attached(&other),
                _ => None,
            };
            if let Some(other) = other {
                verdict.required = false;
                verdict.reason = format!("not needed: {} tells it", other.symbol);
            } else {
                match choice {
                    Ok(_) => {
                        let btf = self.btf.as_ref();
                        kprobes.extend(attach::point(
                            object,
                            point,
                            &mut verdict,
                            &self.order,
                            btf,
                        ));
                    }
                    Err(reason) => verdict.reason = reason,
                }
            }
            log::debug!("{verdict:?}");
            verdicts.push(verdict);
        }
        (verdicts, kprobes)
    }
}

/// How long taking the inventory may measure, for all pagemaps together. A TiB of 2M geometry has 8192 page tables, each
/// read in microseconds.
const SURVEY: Duration = Duration::from_secs(1);
/// Readings of the kernel's list after which the table is taken to agree with it, whatever still changes.
const ROUNDS: usize = 8;

impl Probes {
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

/// Gives memory back to the system that only starting needed, which the allocator would keep between what stays.
pub fn give_back() {
    // SAFETY: it only moves what is free.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

fn object(bytes: &[u8], layout: &Layout, paging: &Paging, options: &Options) -> Result<Ebpf> {
    // Levels of aya-log are those of `log::Level`; 0 lets the verifier remove every log statement.
    let level = if options.log {
        log::Level::Warn as u8
    } else {
        0
    };
    let mut loader = loader();
    if !options.holders {
        for map in probes::holders::MAPS {
            loader.map_max_entries(map, 1);
        }
    }
    let wants = options.session.as_ref();
    for map in session::unused(wants) {
        loader.map_max_entries(map, 1);
    }
    if wants.is_some() {
        // Threads that share a slot are few, and making room for many is what takes longest.
        loader.map_max_entries("GUP_SPANS", 1024);
    }
    let session = wants.map_or(Session::OFF, |wants| wants.session);
    if session.events == 0 {
        // A ring has whole pages.
        loader.map_max_entries(session::EVENTS, 1 << layout.page_shift);
    }
    loader
        .override_global("LAYOUT", layout, true)
        .override_global("PAGING", paging, true)
        .override_global("SESSION", &session, true)
        .override_global("AYA_LOG_LEVEL", &level, false)
        .load(bytes)
        .map_err(|error| anyhow::anyhow!("{}", Failure::of(&error)))
        .context("cannot create the eBPF maps")
}
