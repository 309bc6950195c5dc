//! Loads the eBPF object and attaches its probes, each by the best mechanism that the kernel allows. Every point
//! gets a verdict with its reason; that a point cannot be attached is never an error of the whole.

mod attach;
mod cast;
mod failure;
mod funnel;
mod lean;
mod mapping;
mod means;
mod mechanism;
mod missed;
mod object;
mod probes;
mod symbol;

use anyhow::{Result, ensure};
use daxscope_common::tables::Paging;

pub(crate) use self::{failure::Failure, lean::loader, mapping::Mapping};
use self::{
    means::{Choices, Means},
    mechanism::Order,
    symbol::{choose, parameters},
};
pub use self::{
    mechanism::{Choice, Mechanism},
    missed::Runs,
    object::OBJECT,
    probes::{Probes, Verdict},
};
use crate::{
    inventory::Survey,
    kernel::{Kernel, facts::Facts, privileges::Privileges},
    probes::{
        Point,
        pagemap::Known,
        points,
        session::{self, Wants},
    },
};

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
    let choices: Choices = points()
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
    let mut object = object::create(bytes, &facts.layout, &paging, options)?;
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
    Probes::new(object, kprobes, known, facts, verdicts, options.holders)
}

/// Gives memory back to the system that only starting needed, which the allocator would keep between what stays.
pub fn give_back() {
    // SAFETY: it only moves what is free.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
