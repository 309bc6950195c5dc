//! What the programs count for a session (`common/src/session.rs`).

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, RingBuf, StackTraceMap},
    programs::RawTracePoint,
};
use daxscope_common::{
    geometry::FIRST,
    holders::{CUT, NO_STACK},
    lost as daemon,
    session::{Counts, Durations, Event, GROUPS, Key, Session, Wanted, lost},
};

use super::maps;
use crate::{load::Probes, session::tally::Tally};

const GROUPS_OF: &str = "SESSION_GROUPS";
const DURATIONS: &str = "SESSION_DURATIONS";
const CALLS: &str = "SESSION_CALLS";
const WANTED: &str = "SESSION_WANTED";
const ARMED: &str = "SESSION_ARMED";
const TREE: &str = "SESSION_TREE";
const KSTACKS: &str = "SESSION_KSTACKS";
const USTACKS: &str = "SESSION_USTACKS";
pub(crate) const EVENTS: &str = "SESSION_EVENTS";
/// The program that follows the processes of a command, and what it sits on.
const FORK: &str = "session_fork";
const FORKED: &str = "sched_process_fork";

/// What a session is to count.
#[derive(Clone, Debug)]
pub struct Wants {
    pub session: Session,
    /// The points to attach, by number.
    pub points: Vec<u32>,
    /// What calls must have: one value of each kind that is there.
    pub wanted: Vec<Wanted>,
    /// `vmemmap_shift`s that get the slots from [`FIRST`] on, for [`Session::geometries`].
    pub shifts: Vec<u32>,
}

/// The maps that need no room: of all sessions, or of those that do not group, follow, or keep stacks.
pub(crate) fn unused(wants: Option<&Wants>) -> Vec<&'static str> {
    let session = wants.map_or(Session::OFF, |wants| wants.session);
    let groups = session.on != 0 && session.events == 0;
    let needed = [
        (GROUPS_OF, groups),
        (DURATIONS, groups),
        (CALLS, session.on != 0),
        (WANTED, session.wanted != 0),
        (TREE, session.tree != 0),
        (KSTACKS, session.kstack != 0),
        (USTACKS, session.ustack != 0),
    ];
    let unused = needed.into_iter().filter(|(_, needed)| !needed);
    unused.map(|(name, _)| name).collect()
}

/// Fills in what the programs look up, before they are attached.
pub(crate) fn prepare(object: &mut Ebpf, wants: &Wants) -> Result<()> {
    let mut wanted: HashMap<_, Wanted, u32> = map(object, WANTED)?.try_into()?;
    for value in &wants.wanted {
        wanted
            .insert(value, 1, 0)
            .context("cannot set a filter: too many values")?;
    }
    for (slot, shift) in (FIRST..).zip(&wants.shifts) {
        let mut owners: HashMap<_, u32, u32> = map(object, "GEOMETRY_OWNERS")?.try_into()?;
        owners.insert(slot, shift, 0)?;
        let mut slots: Array<_, u32> = map(object, "GEOMETRY_SLOTS")?.try_into()?;
        slots.set(*shift, slot, 0)?;
    }
    if wants.session.events == 0 {
        let mut groups: aya::maps::PerCpuHashMap<_, Key, Counts> =
            map(object, GROUPS_OF)?.try_into()?;
        let cpus =
            aya::util::nr_cpus().map_err(|(path, error)| anyhow!("cannot read {path}: {error}"))?;
        let none = vec![Counts::ZERO; cpus];
        groups.insert(Key::OF_REST, none.try_into()?, 0)?;
        let mut durations: HashMap<_, Key, Durations> = map(object, DURATIONS)?.try_into()?;
        durations.insert(Key::OF_REST, Durations::ZERO, 0)?;
    }
    if wants.session.tree != 0 {
        let program = object.program_mut(FORK);
        let program = program.with_context(|| format!("the eBPF object has no program {FORK}"))?;
        let program: &mut RawTracePoint = program.try_into()?;
        program
            .load()
            .context("cannot follow the processes of a command")?;
        program
            .attach(FORKED)
            .context("cannot follow the processes of a command")?;
    }
    Ok(())
}

fn map<'a>(object: &'a mut Ebpf, name: &str) -> Result<&'a mut aya::maps::Map> {
    object
        .map_mut(name)
        .with_context(|| format!("the eBPF object has no map {name}"))
}

impl Probes {
    /// Counts a process and its descendants from now on.
    ///
    /// # Errors
    /// When it cannot be noted.
    pub fn root(&mut self, pid: u32) -> Result<()> {
        let mut tree: HashMap<_, u32, u32> = map(self.object_mut(), TREE)?.try_into()?;
        tree.insert(pid, 1, 0).context("cannot note the command")
    }

    /// Begins to count, or ends it: everywhere at once.
    ///
    /// # Errors
    /// When that cannot be said.
    pub fn arm(&mut self, armed: bool) -> Result<()> {
        let mut map: Array<_, u32> = map(self.object_mut(), ARMED)?.try_into()?;
        map.set(0, u32::from(armed), 0)
            .context("cannot begin or end counting")
    }

    /// The ring of events, which can be taken once.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn events(&mut self) -> Result<RingBuf<MapData>> {
        let ring = self.object_mut().take_map(EVENTS);
        let ring = ring.with_context(|| format!("the eBPF object has no map {EVENTS}"))?;
        Ok(ring.try_into()?)
    }
}

/// The groups, and what was counted of each.
///
/// # Errors
/// When the maps cannot be read.
pub fn groups(probes: &Probes) -> Result<Vec<(Key, Tally)>> {
    let object = probes.object();
    let words = size_of::<Counts>() / size_of::<u64>();
    let durations = object.map(DURATIONS);
    let durations = durations.with_context(|| format!("the eBPF object has no map {DURATIONS}"))?;
    let durations: HashMap<&MapData, Key, Durations> = durations.try_into()?;
    let mut groups = vec![];
    for (key, values) in maps::each_cpu_hash::<Key, Counts>(object, GROUPS_OF, GROUPS)? {
        let mut tally = Tally::default();
        for cpu in values.chunks_exact(words) {
            // In the order of `Counts`, of which a contract test is kept.
            let &[calls, pages, errors, sampled, ns, max_ns] = cpu else {
                continue;
            };
            tally.add(&Tally {
                calls,
                pages,
                errors,
                sampled,
                ns,
                max_ns,
                ..Tally::default()
            });
        }
        if tally == Tally::default() {
            continue;
        }
        if let Ok(found) = durations.get(&key, 0) {
            let slots = found.slots.into_iter().enumerate();
            tally.slots = slots.filter(|(_, n)| *n > 0).collect();
        }
        groups.push((key, tally));
    }
    Ok(groups)
}

/// What an event of the ring says; `None` if it is none of ours.
#[must_use]
pub fn event(bytes: &[u8]) -> Option<Event> {
    // SAFETY: integers only, of which any bytes are values; as many as there are.
    (bytes.len() >= size_of::<Event>())
        .then(|| unsafe { bytes.as_ptr().cast::<Event>().read_unaligned() })
}

/// Return addresses of a kernel stack, the innermost first (but for one that is [`CUT`]); nothing if it was not kept. They are
/// never shown.
#[must_use]
pub fn kernel_stack(probes: &Probes, number: u32) -> Vec<u64> {
    stack(probes, KSTACKS, number)
}

/// As [`kernel_stack`], of a process; with 0 in place of a frame that is left out.
#[must_use]
pub fn user_stack(probes: &Probes, number: u32) -> Vec<u64> {
    let mut stack = stack(probes, USTACKS, number);
    if !stack.is_empty() && number & CUT != 0 {
        stack.insert(0, 0);
    }
    stack
}

fn stack(probes: &Probes, name: &str, number: u32) -> Vec<u64> {
    if number == NO_STACK {
        return vec![];
    }
    let stacks = probes.object().map(name);
    let stacks: Option<StackTraceMap<&MapData>> = stacks.and_then(|map| map.try_into().ok());
    let stack = stacks.and_then(|stacks| stacks.get(&(number & !CUT), 0).ok());
    stack.map_or_else(Vec::new, |stack| {
        stack.frames().iter().map(|frame| frame.ip).collect()
    })
}

/// What was lost, by name; nothing that is 0.
///
/// # Errors
/// When the maps cannot be read.
pub fn lost(probes: &Probes) -> Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    let mut note = |name: &str, n: u64| {
        if n > 0 {
            *found.entry(name.to_owned()).or_default() += n;
        }
    };
    for (index, name) in lost::NAMES.iter().enumerate() {
        note(name, maps::per_cpu(probes.object(), "SESSION_LOST", index)?);
    }
    for (index, name) in daemon::NAMES.iter().enumerate() {
        note(name, maps::per_cpu(probes.object(), "LOST", index)?);
    }
    for verdict in &probes.verdicts {
        for (_, n) in probes.missed(verdict) {
            note("missed", n);
        }
    }
    Ok(found)
}
