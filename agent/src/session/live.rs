//! A session with the running kernel.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, bail};
use aya::maps::{MapData, RingBuf};
use daxscope_common::session::{Call, Event as Told, Key};

use super::{
    asked::{Asked, Room},
    by::{By, Value},
    event::{Event, Part},
    naming::{self, Naming},
    recording::{About, Device, Point, State},
    tally::Tally,
};
use crate::{
    check::Verdicts,
    inventory::names::{Names, SYSFS},
    kernel::{Kernel, clock, facts, privileges::Privileges},
    load::{self, Mechanism, Probes},
    probes::{geometry, session},
    text,
};

/// Probes that count for a session. Dropping it detaches them.
pub struct Live {
    probes: Probes,
    about: About,
    naming: Naming,
    keys: Vec<Vec<Value>>,
    /// Where in [`Self::keys`] a group of the kernel side is; several may have the same values.
    known: HashMap<Key, usize>,
    index: HashMap<Vec<Value>, usize>,
    last: Vec<Tally>,
    began: Instant,
    /// What had been lost when it began: calls that were seen by one end while the other was not attached yet.
    lost_before: BTreeMap<String, u64>,
    /// What had been lost when it ended.
    lost: Option<BTreeMap<String, u64>>,
    /// When it was detached.
    ended: Option<Instant>,
    /// What the kernel's monotonic clock said at 1970, in nanoseconds.
    epoch: u64,
    /// Parts of calls that have not been told yet, by thread: the moment of the call, and the parts.
    parts: HashMap<u32, Waiting>,
}

/// The moment of a call, and its parts: device, slot of the geometry, pages.
type Waiting = (u64, Vec<(u64, u32, u64)>);

impl Live {
    /// Attaches what is asked for. What cannot be is said in [`About::points`].
    ///
    /// # Errors
    /// Without privileges; when a filter names what is not there; when nothing can be attached.
    pub fn attach(asked: &Asked) -> Result<Self> {
        if let Some(missing) = Privileges::read().missing() {
            bail!("{missing}");
        }
        // Which of the functions that bring regions up can be traced, only the kernel's lists tell; of those of GUP, all can.
        let mut kernel = if asked.rooms == [Room::Gup] {
            Kernel::described(asked.btf.as_deref())?
        } else {
            Kernel::read(asked.btf.as_deref())?
        };
        let options = load::Options {
            choice: asked.choice,
            log: false,
            holders: false,
            latency: true,
            session: Some(asked.wants(&kernel, facts::page_shift())?),
        };
        let mut probes = load::load(&mut kernel, None, &options)?;
        Verdicts(&probes.verdicts).ensure_any()?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let wall = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        load::give_back();
        let about = about(asked, &kernel, &probes, wall / 1_000_000);
        let naming = Naming::new();
        probes.arm(true)?;
        Ok(Self {
            about,
            lost_before: session::lost(&probes)?,
            lost: None,
            probes,
            naming,
            keys: vec![],
            known: HashMap::new(),
            index: HashMap::new(),
            last: vec![],
            began: Instant::now(),
            ended: None,
            epoch: wall.saturating_sub(clock::monotonic()),
            parts: HashMap::new(),
        })
    }

    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The groups that were met so far, in that order.
    #[must_use]
    pub fn keys(&self) -> &[Vec<Value>] {
        &self.keys
    }

    /// Counts a process and its descendants from now on, in a session of a tree.
    ///
    /// # Errors
    /// When it cannot be noted.
    pub fn root(&mut self, pid: u32) -> Result<()> {
        self.probes.root(pid)
    }

    /// Reads what has changed since it was last asked.
    ///
    /// # Errors
    /// When the maps cannot be read.
    pub fn read(&mut self) -> Result<State> {
        let groups = session::groups(&self.probes)?;
        let new = || {
            groups
                .iter()
                .map(|(key, _)| key)
                .filter(|key| !self.known.contains_key(*key))
        };
        let by = &self.about.by;
        if by.contains(&By::Ustack) {
            // First, while the processes still run.
            for key in new() {
                self.naming.ustack(&self.probes, key.tgid, key.ustack);
            }
        }
        let stacks = by.contains(&By::Caller) || by.contains(&By::Kstack);
        self.naming.learn(
            &self.probes,
            new().map(|key| (key.kstack, key.point)).filter(|_| stacks),
            new().map(|key| key.cgroup),
        );
        let mut totals = vec![Tally::default(); self.keys.len()];
        for (key, tally) in &groups {
            let group = self.group(key);
            totals.resize(self.keys.len(), Tally::default());
            totals[group].add(tally);
        }
        self.last.resize(self.keys.len(), Tally::default());
        let pairs = totals.iter().zip(&self.last).enumerate();
        let changed: BTreeMap<_, _> = pairs
            .filter(|(_, (now, before))| now != before)
            .map(|(group, (now, _))| (group, now.clone()))
            .collect();
        self.last = totals;
        Ok(State {
            at: u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX),
            changed,
            lost: self.lost()?,
        })
    }

    /// The group that the kernel side tells by a key.
    fn group(&mut self, key: &Key) -> usize {
        if let Some(group) = self.known.get(key) {
            return *group;
        }
        let by = self.about.by.iter();
        let values: Vec<_> = by
            .map(|by| self.naming.value(&self.probes, key, *by))
            .collect();
        let next = self.keys.len();
        let group = *self.index.entry(values.clone()).or_insert(next);
        if group == next {
            self.keys.push(values);
        }
        self.known.insert(*key, group);
        group
    }

    /// The ring of a session of events, which can be taken once.
    ///
    /// # Errors
    /// When it was taken before.
    pub fn events(&mut self) -> Result<RingBuf<MapData>> {
        self.probes.events()
    }

    /// What was lost so far, by name; nothing that is 0.
    ///
    /// # Errors
    /// When the maps cannot be read.
    pub fn lost(&self) -> Result<BTreeMap<String, u64>> {
        let mut lost = match &self.lost {
            Some(lost) => lost.clone(),
            None => session::lost(&self.probes)?,
        };
        for (what, n) in &mut lost {
            *n -= self.lost_before.get(what).unwrap_or(&0);
        }
        lost.retain(|_, n| *n > 0);
        Ok(lost)
    }

    /// Puts into words what the ring told; parts wait for their call. With `stack`, its functions too.
    pub fn tell(&mut self, told: &[Told], stack: bool) -> Vec<Event> {
        self.naming.learn(
            &self.probes,
            told.iter().map(|told| (told.call.kstack, told.call.point)),
            told.iter().map(|told| told.call.key.cgroup),
        );
        let events = told.iter().filter_map(|told| self.event(told, stack));
        events.collect()
    }

    fn event(&mut self, told: &Told, stack: bool) -> Option<Event> {
        let Call {
            at,
            device,
            geometry,
            pages,
            first,
            ..
        } = told.call;
        if told.part != 0 {
            let (of, parts) = self.parts.entry(told.call.key.pid).or_default();
            // Those of a call that was not wanted after all, or got lost.
            if *of != at {
                (*of, *parts) = (at, vec![]);
            }
            parts.push((device, geometry, pages));
            return None;
        }
        let several = told.call.parts > 1;
        let parts = self
            .parts
            .remove(&told.call.key.pid)
            .filter(|(of, _)| several && *of == at);
        let parts = parts.map_or_else(|| vec![(device, geometry, first)], |(_, parts)| parts);
        let part = |(device, geometry, pages)| Part {
            geometry: self.naming.geometry(&self.probes, geometry),
            device: self.naming.device(device),
            pages,
        };
        let parts = parts.into_iter().map(part).collect();
        let call = &told.call;
        let is_gup = naming::how(call.point) != "-";
        Some(Event {
            at: self.epoch + at,
            cpu: told.cpu,
            comm: naming::comm(told.call.key.comm),
            pid: told.call.key.pid,
            tgid: told.call.key.tgid,
            cgroup: self.naming.cgroup(told.call.key.cgroup),
            entry: naming::entry(call.point),
            how: naming::how(call.point),
            longterm: call.longterm != 0,
            address: (is_gup && call.address != 0).then_some(call.address),
            asked: (call.asked != 0).then_some(call.asked),
            pages: call.pages,
            errno: naming::result(call.errno),
            parts,
            sampled: call.sampled != 0,
            ns: (call.ns != u64::MAX).then_some(call.ns),
            caller: self.naming.caller(call.kstack),
            stack: if stack {
                self.naming.kstack(call.kstack)
            } else {
                vec![]
            },
        })
    }

    /// How long it has been attached, or was.
    fn elapsed(&self) -> Duration {
        self.ended.unwrap_or_else(Instant::now) - self.began
    }

    /// Ends it, and detaches all: what is read then stands still. What is lost while detaching was nobody's.
    ///
    /// # Errors
    /// When what was lost cannot be read.
    pub fn detach(&mut self) -> Result<()> {
        self.ended = Some(Instant::now());
        self.probes.arm(false)?;
        self.lost = Some(session::lost(&self.probes)?);
        self.probes.detach();
        Ok(())
    }
}

fn about(asked: &Asked, kernel: &Kernel, probes: &Probes, begun: u64) -> About {
    let rooms = asked.rooms.iter().map(|room| room.name().to_owned());
    // What this kernel does not have is not missing.
    let told = probes.verdicts.iter();
    let told = told.filter(|verdict| verdict.mechanism.is_some() || verdict.required);
    let points = told.map(|verdict| Point {
        family: verdict.family.into(),
        entry: verdict.point.into(),
        symbol: verdict.symbol.into(),
        mechanism: verdict
            .mechanism
            .map(|mechanism| Mechanism::name(mechanism).into()),
        reason: verdict.reason.clone(),
    });
    // SAFETY: no pointer is involved.
    let cpus = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    About {
        daxscope: format!("{} ({})", crate::VERSION, crate::REVISION),
        host: fs::read_to_string("/proc/sys/kernel/hostname")
            .map_or_else(|_| "unknown".into(), |name| text::escaped(name.trim())),
        kernel: kernel.release.clone(),
        machine: std::env::consts::ARCH.into(),
        cpus: usize::try_from(cpus).unwrap_or(0),
        begun,
        rooms: rooms.collect(),
        by: asked.by.clone(),
        filters: asked.filters.words(),
        command: asked
            .command
            .iter()
            .map(|word| text::escaped(word))
            .collect(),
        points: points.collect(),
        devices: devices(probes),
    }
}

/// What sysfs tells of the devices that have struct pages.
fn devices(probes: &Probes) -> Vec<Device> {
    let page_shift = probes.facts.layout.page_shift;
    let has_geometries = probes.facts.shifts.len() > 1;
    let names = Names::read(SYSFS.as_ref());
    let with_pages = names
        .devices()
        .iter()
        .filter(|device| device.map.is_some() && device.driver.is_some());
    with_pages
        .map(|device| Device {
            name: device.device.clone(),
            geometry: match device.align {
                Some(align)
                    if has_geometries && device.mode == "devdax" && align.is_power_of_two() =>
                {
                    geometry::label(align.trailing_zeros())
                }
                _ => geometry::label(page_shift),
            },
            bytes: device
                .ranges
                .iter()
                .flatten()
                .map(|range| range.end - range.start + 1)
                .sum(),
            map: device.map.map_or("", |map| map.name()).into(),
        })
        .collect()
}
