//! What somebody asks of a session, and what the kernel side must know of it.

use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::{Args, ValueEnum};
use daxscope_common::{
    geometry::{FIRST, SLOTS, SYSTEM, UNKNOWN},
    point,
    session::{DEVICES, Key, Session, Wanted},
};

use super::{
    by::{self, By},
    cgroups::Cgroups,
    filters::{Filters, How},
    until::UntilArgs,
};
use crate::{
    cli::ProbeArgs,
    inventory::names::{Device, Names, SYSFS},
    kernel::{Kernel, facts},
    load::Choice,
    probes::{self, Point, gup, session::Wants, vmemmap},
    text,
};

/// A family of probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Room {
    /// Regions that come up and go: `memremap_pages`, `memunmap_pages`, `memmap_init_zone_device`
    Memremap,
    /// Memory maps that are populated: `__populate_section_memmap`, `vmemmap_populate`, `__add_pages`
    Vmemmap,
    /// User pages that are pinned or got: `pin_user_pages*`, `get_user_pages*`
    Gup,
}

impl Room {
    /// As the family of its probes is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memremap => "memremap",
            Self::Vmemmap => "vmemmap",
            Self::Gup => "gup",
        }
    }
}

/// A session, before there is one.
pub struct Asked {
    pub rooms: Vec<Room>,
    pub by: Vec<By>,
    pub filters: Filters,
    /// Whether each call is told by itself.
    pub events: bool,
    /// Only what this and its descendants do; all if it is empty.
    pub command: Vec<String>,
    pub choice: Choice,
    pub btf: Option<PathBuf>,
}

/// Which rooms: of all verbs that attach.
#[derive(Args, Clone, Debug, Default)]
pub struct RoomArgs {
    /// Which calls to watch; gup if left out
    #[arg(value_enum, value_name = "ROOM")]
    pub rooms: Vec<Room>,
}

impl RoomArgs {
    /// In the order in which they are attached, each once.
    #[must_use]
    pub fn rooms(&self) -> Vec<Room> {
        if self.rooms.is_empty() {
            return vec![Room::Gup];
        }
        let all = Room::value_variants().iter().copied();
        all.filter(|room| self.rooms.contains(room)).collect()
    }
}

/// What to watch, how long, and by what means: of all verbs that do so for a while.
#[derive(Args, Clone, Debug)]
pub struct SessionArgs {
    #[command(flatten)]
    rooms: RoomArgs,
    #[command(flatten)]
    pub until: UntilArgs,
    #[command(flatten)]
    probes: ProbeArgs,
    #[command(flatten)]
    filters: Filters,
}

impl SessionArgs {
    /// The same, by some dimensions; or with `events`, call by call.
    #[must_use]
    pub fn asked(&self, by: &[By], events: bool) -> Asked {
        Asked {
            rooms: self.rooms.rooms(),
            by: by::each_once(by),
            filters: self.filters.clone(),
            events,
            command: self.until.command.clone(),
            choice: self.probes.choice(),
            btf: self.probes.btf.clone(),
        }
    }
}

impl Asked {
    /// What is to be counted.
    ///
    /// # Errors
    /// When a filter names what is not there, or what this kernel cannot tell.
    pub fn wants(&self, kernel: &Kernel, page_shift: u32) -> Result<Wants> {
        let points = self.points()?;
        let mut wants = Wants {
            session: Session {
                on: 1,
                points: points.iter().fold(0, |bits, number| bits | 1 << number),
                by: self.by.iter().fold(0, |bits, by| bits | bits_of(*by)),
                events: u32::from(self.events),
                longterm: u32::from(self.filters.longterm),
                geometries: u32::MAX,
                kstack: u32::from(self.wants_any(&[By::Kstack, By::Caller])),
                ustack: u32::from(self.wants_any(&[By::Ustack])),
                min_pages: self.filters.min_pages.unwrap_or(0),
                tree: u32::from(!self.command.is_empty()),
                ..Session::OFF
            },
            points: Self::beside(&points, kernel.btf.is_ok()),
            wanted: vec![],
            shifts: vec![],
        };
        if self.events {
            wants.session.by |= Key::TASK;
        }
        if let Some(least) = self.filters.min_latency {
            let ns = u64::try_from(least.as_nanos());
            wants.session.min_ns = ns.context("--min-latency is longer than any call")?;
        }
        if !self.command.is_empty() {
            wants.session.task_pid = facts::task_pid(kernel.btf.as_ref())?;
        }
        let gives_back = |number: &u32| gup::FAMILY.has(*number) && gup::how(*number) == How::Unpin;
        ensure!(
            !(points.iter().any(gives_back)
                && (wants.session.min_ns > 0
                    || wants.session.min_pages > 0
                    || self.filters.longterm)),
            "--min-latency, --min-pages and --longterm are of requests: they cannot be given with --how unpin"
        );
        self.geometries(&mut wants, page_shift)?;
        self.tasks(&mut wants)?;
        self.devices(&mut wants)?;
        Ok(wants)
    }

    fn wants_any(&self, by: &[By]) -> bool {
        self.by.iter().any(|asked| by.contains(asked))
    }

    /// The numbers of the points to count.
    fn points(&self) -> Result<Vec<u32>> {
        let how = &self.filters.how;
        let of_how = |point: &Point| {
            if !gup::FAMILY.has(point.number) {
                return how.is_empty();
            }
            match gup::how(point.number) {
                How::Unpin => how.contains(&How::Unpin),
                other => how.is_empty() || how.contains(&other),
            }
        };
        let entries = &self.filters.entry;
        for entry in entries {
            if !probes::points().any(|(_, point)| is_called(point, entry)) {
                let names: Vec<_> = self.watched().map(|point| point.name).collect();
                bail!(
                    "--entry {entry}: daxscope watches no such function, but {}",
                    names.join(", ")
                );
            }
        }
        let of_entry = |point: &Point| {
            entries.is_empty() || entries.iter().any(|entry| is_called(point, entry))
        };
        // Naming one that gives pins back asks for it, too.
        let wanted: Vec<_> = self
            .watched()
            .filter(|point| of_entry(point))
            .filter(|point| of_how(point) || how.is_empty() && !entries.is_empty())
            .map(|point| point.number)
            .collect();
        if wanted.is_empty() {
            bail!(
                "no function is of the rooms and of all filters (--how, --entry) that were given"
            );
        }
        Ok(wanted)
    }

    /// What has to be attached for these points to be told right.
    fn beside(wanted: &[u32], has_types: bool) -> Vec<u32> {
        let is_unpin = |number: u32| gup::FAMILY.has(number) && gup::how(number) == How::Unpin;
        let any = |is: &dyn Fn(u32) -> bool| wanted.iter().any(|number| is(*number));
        // They call each other, and what is inside of another is that one's.
        let unpins = any(&is_unpin);
        // As others call this one; where types tell that by its flags, they need not be watched.
        let requests = !has_types && wanted.contains(&point::GET_USER_PAGES_UNLOCKED);
        // The geometry of a memory map that is populated is that of the region that is coming up.
        let regions = any(&|number| vmemmap::FAMILY.has(number));
        let needed = |number: u32| {
            wanted.contains(&number)
                || unpins && is_unpin(number)
                || requests && gup::FAMILY.has(number) && !is_unpin(number)
                || regions && number == point::MEMREMAP_PAGES
        };
        let all = probes::points().map(|(_, point)| point.number);
        all.filter(|number| needed(*number)).collect()
    }

    /// The points of the rooms.
    fn watched(&self) -> impl Iterator<Item = &'static Point> {
        let rooms: Vec<_> = self.rooms.iter().map(|room| room.name()).collect();
        probes::points()
            .filter(move |(family, _)| rooms.contains(&family.name))
            .map(|(_, point)| point)
    }

    fn geometries(&self, wants: &mut Wants, page_shift: u32) -> Result<()> {
        if self.filters.geometry.is_empty() {
            return Ok(());
        }
        wants.session.geometries = 0;
        for name in &self.filters.geometry {
            let slot = match name.as_str() {
                "system" => SYSTEM,
                "unknown" => UNKNOWN,
                size => {
                    let shift = power(size).and_then(|power| power.checked_sub(page_shift));
                    let shift = shift.with_context(|| {
                        format!("--geometry {size}: no page has that size; say 4K, 2M, 1G, system or unknown")
                    })?;
                    wants.shifts.push(shift);
                    FIRST + u32::try_from(wants.shifts.len() - 1)?
                }
            };
            if slot as usize >= SLOTS {
                bail!(
                    "--geometry: at most {} sizes can be told apart",
                    SLOTS - FIRST as usize
                );
            }
            wants.session.geometries |= 1 << slot;
        }
        Ok(())
    }

    fn tasks(&self, wants: &mut Wants) -> Result<()> {
        for pid in &self.filters.pid {
            want(wants, Wanted::PID, [u64::from(*pid), 0]);
        }
        for comm in &self.filters.comm {
            want(wants, Wanted::COMM, comm_words(comm)?);
        }
        if !self.filters.cgroup.is_empty() {
            let cgroups = Cgroups::new()?;
            for path in &self.filters.cgroup {
                let (id, _) = cgroups
                    .find(path)
                    .with_context(|| format!("--cgroup {path}"))?;
                want(wants, Wanted::CGROUP, [id, 0]);
            }
        }
        Ok(())
    }

    fn devices(&self, wants: &mut Wants) -> Result<()> {
        if self.filters.device.is_empty() {
            return Ok(());
        }
        let names = Names::read(SYSFS.as_ref());
        let mut spans = vec![];
        for name in &self.filters.device {
            if name == "system" {
                spans.push([Key::SYSTEM; 2]);
                continue;
            }
            let called = |device: &&Device| {
                device.device == *name || device.namespace.as_deref() == Some(name)
            };
            let Some(device) = names.devices().iter().find(called) else {
                let there = names.devices().iter().map(|device| device.device.as_str());
                let there: Vec<_> = there.chain(["system"]).collect();
                bail!(
                    "--device {name}: no such device; there are {}",
                    there.join(", ")
                );
            };
            let ranges = device.ranges.as_ref();
            let ranges = ranges.map_err(|reason| anyhow!("--device {name}: {reason}"))?;
            spans.extend(ranges.iter().map(|range| [range.start, range.end]));
        }
        ensure!(
            spans.len() <= DEVICES,
            "--device: at most {DEVICES} ranges of memory can be told apart, and these have {}",
            spans.len()
        );
        wants.session.wanted |= Wanted::DEVICE;
        wants.session.devices[..spans.len()].copy_from_slice(&spans);
        Ok(())
    }
}

/// Lets a call be wanted that has a value.
fn want(wants: &mut Wants, kind: u32, value: [u64; 2]) {
    wants.session.wanted |= kind;
    wants.wanted.push(Wanted {
        kind,
        pad: 0,
        value,
    });
}

/// Whether somebody who says `name` means a point: by its name, or a symbol that can stand for it.
fn is_called(point: &Point, name: &str) -> bool {
    point.name == name || point.symbols.contains(&name)
}

/// The members of [`Key`] that a dimension is made of.
const fn bits_of(by: By) -> u32 {
    match by {
        By::Geometry => Key::GEOMETRY,
        By::Entry | By::How => Key::POINT,
        By::Device => Key::DEVICE,
        By::Comm => Key::COMM,
        By::Pid => Key::PID,
        By::Tgid => Key::TGID,
        By::Cgroup => Key::CGROUP,
        // What was called is where a stack begins.
        By::Caller | By::Kstack => Key::KSTACK | Key::POINT,
        // Addresses are those of a process.
        By::Ustack => Key::USTACK | Key::TGID,
        By::Errno => Key::ERRNO,
        By::Longterm => Key::LONGTERM,
    }
}

/// The 16 bytes that the kernel keeps of a thread's name, ended by zeros (`TASK_COMM_LEN`, include/linux/sched.h).
fn comm_words(name: &str) -> Result<[u64; 2]> {
    let name = text::native(name);
    ensure!(
        name.len() < 16,
        "--comm {}: the kernel keeps 15 bytes of a thread's name: {}",
        text::foreign(&name),
        text::foreign(&name[..15])
    );
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(&name);
    let word = |n: usize| u64::from_ne_bytes(std::array::from_fn(|i| bytes[8 * n + i]));
    Ok([word(0), word(1)])
}

/// `4K`, `2M`, `1G`, in any case: the power of two of so many bytes.
fn power(size: &str) -> Option<u32> {
    let size = size.to_ascii_uppercase();
    let units = [("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    let (digits, unit) = units
        .into_iter()
        .find_map(|(unit, power)| Some((size.strip_suffix(unit)?, power)))?;
    let number: u64 = digits.parse().ok()?;
    number
        .is_power_of_two()
        .then(|| number.trailing_zeros() + unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two() {
        for (size, shift) in [("4K", Some(12)), ("2m", Some(21)), ("1G", Some(30))] {
            assert_eq!(power(size), shift);
        }
        for size in ["", "K", "3K", "4", "4KB", "-4K"] {
            assert_eq!(power(size), None, "{size}");
        }
    }

    #[test]
    fn names_of_threads_are_as_the_kernel_keeps_them() {
        assert_eq!(
            comm_words("ab").expect("short"),
            [u64::from_ne_bytes(*b"ab\0\0\0\0\0\0"), 0]
        );
        assert!(comm_words("0123456789abcdef").is_err());
    }
}
