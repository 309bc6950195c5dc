//! What somebody asks of a session, and which functions have to be watched for it.

mod wants;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use daxscope_common::point;

use super::{
    by::{self, By},
    filters::{Filters, How},
    until::UntilArgs,
};
use crate::{
    cli::ProbeArgs,
    load::Choice,
    probes::{self, Point, gup, vmemmap},
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
}

/// Whether somebody who says `name` means a point: by its name, or a symbol that can stand for it.
fn is_called(point: &Point, name: &str) -> bool {
    point.name == name || point.symbols.contains(&name)
}
