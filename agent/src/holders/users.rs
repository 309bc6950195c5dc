//! Processes that map a device, or files of a file system on it, or hold either open: who may have pinned, where nobody
//! watched. A process that unmapped and closed what it had pinned is not among them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    io::{Error, ErrorKind},
    path::{Path, PathBuf},
};

use super::{
    mounts::{self, Mount},
    numbers::{self, Number},
    status::{Status, status},
};
use crate::text;

/// A device to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// `dax0.0`; `namespace0.0` of a dax device that is being taken down, which sysfs has lost first.
    pub device: String,
    /// As [`numbers::numbers`] gives them.
    pub numbers: Vec<Number>,
}

impl Wanted {
    fn is_going(&self) -> bool {
        let mut dax = ["dax", "namespace"].iter();
        self.numbers.is_empty() && dax.any(|start| self.device.starts_with(start))
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// The devices that were looked for.
    pub of: Vec<String>,
    /// By device, then by process.
    pub processes: Vec<User>,
    pub mounts: Vec<Mount>,
    /// Processes that could not be looked at, or only in part.
    pub unseen: usize,
}

/// What a process has of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub device: String,
    /// Its name, escaped.
    pub process: String,
    pub pid: u32,
    /// Bytes of address space that are mapped to it.
    pub mapped: u64,
    /// Open files.
    pub open: u64,
}

/// Looks at all processes in `proc`, `/proc` but in tests. `there` are the numbers of all dax devices that sysfs has.
#[must_use]
pub fn search(proc: &Path, wanted: &[Wanted], there: &[Number]) -> Users {
    let mut search = Search {
        wanted,
        there,
        major: fs::read_to_string(proc.join("devices"))
            .ok()
            .and_then(|devices| numbers::dax_major(&devices)),
        devices: HashMap::new(),
        unseen: false,
    };
    let mut users = Users {
        of: wanted.iter().map(|wanted| wanted.device.clone()).collect(),
        ..Users::default()
    };
    let mut found = BTreeMap::new();
    let mut namespaces = HashSet::new();
    users.mounts = mounts::of(&proc.join("self"), None, wanted, &mut namespaces);
    for (pid, folder) in processes(proc) {
        let mut has: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
        search.unseen = false;
        for (device, bytes) in search.mapped(&folder) {
            has.entry(device).or_default().0 += bytes;
        }
        for device in search.open(&folder) {
            has.entry(device).or_default().1 += 1;
        }
        users.unseen += usize::from(search.unseen);
        let name = fs::read(folder.join("comm")).unwrap_or_default();
        let name = text::foreign(name.strip_suffix(b"\n").unwrap_or(&name));
        for (device, (mapped, open)) in has {
            let user = User {
                device: wanted[device].device.clone(),
                process: name.clone(),
                pid,
                mapped,
                open,
            };
            found.insert((device, pid), user);
        }
        let mounts = mounts::of(&folder, Some(pid), wanted, &mut namespaces);
        users.mounts.extend(mounts);
    }
    users.processes = found.into_values().collect();
    users
}

fn processes(proc: &Path) -> BTreeMap<u32, PathBuf> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let numbered = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, entry.path()))
    };
    entries.filter_map(numbered).collect()
}

struct Search<'a> {
    wanted: &'a [Wanted],
    there: &'a [Number],
    /// Of all dax devices.
    major: Option<u32>,
    /// Device files that are mapped somewhere, by the file system that they are on and their inode there.
    devices: HashMap<(Number, u64), Option<Number>>,
    /// Whether something of the present process could not be looked at.
    unseen: bool,
}

impl Search<'_> {
    /// Bytes of each mapping of a wanted device.
    fn mapped(&mut self, process: &Path) -> Vec<(usize, u64)> {
        let maps = self.seen(fs::read(process.join("maps")));
        let maps = maps.unwrap_or_default();
        let lines = maps.split(|byte| *byte == b'\n');
        lines
            .filter_map(|line| {
                let mapping = Mapping::parse(&String::from_utf8_lossy(line))?;
                let device = self.of_mapping(process, &mapping)?;
                Some((device, mapping.end - mapping.start))
            })
            .collect()
    }

    fn of_mapping(&mut self, process: &Path, mapping: &Mapping) -> Option<usize> {
        let on = self.numbered(mapping.on);
        // A dax device can be mapped only shared (check_vma, drivers/dax/device.c).
        if on.is_some() || mapping.inode == 0 || !mapping.shared {
            return on;
        }
        let key = (mapping.on, mapping.inode);
        if !self.devices.contains_key(&key) {
            // For CAP_CHECKPOINT_RESTORE; by the path also for whoever the process belongs to.
            let file = format!("map_files/{:x}-{:x}", mapping.start, mapping.end);
            let path = format!("root{}", mapping.path);
            let found = status(&process.join(file)).or_else(|_| status(&process.join(path)));
            let found = self.seen(found)?;
            self.devices.insert(key, found.is);
        }
        let is = self.devices[&key]?;
        self.numbered(is).or_else(|| self.going(is, &mapping.path))
    }

    /// The wanted device of each open file that has to do with one.
    fn open(&mut self, process: &Path) -> Vec<usize> {
        let files = self.seen(fs::read_dir(process.join("fd")));
        let files = files.into_iter().flatten().flatten();
        files
            .filter_map(|file| {
                let path = file.path();
                let Status { on, is } = self.seen(status(&path))?;
                let numbered = self.numbered(is.unwrap_or(on));
                // A link costs a system call, and only one without a number needs it.
                numbered.or_else(|| {
                    let to = || fs::read_link(&path).unwrap_or_default();
                    self.going(is?, &to().to_string_lossy())
                })
            })
            .collect()
    }

    /// `None` where the process or its file is gone, and where it cannot be looked at, which is noted.
    fn seen<T>(&mut self, looked: Result<T, Error>) -> Option<T> {
        let gone = |error: &Error| {
            error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
        };
        self.unseen |= looked.as_ref().is_err_and(|error| !gone(error));
        looked.ok()
    }

    fn numbered(&self, number: Number) -> Option<usize> {
        let mut wanted = self.wanted.iter();
        wanted.position(|wanted| wanted.numbers.contains(&number))
    }

    /// The wanted device that a dax device is which sysfs does not have any more: by its path, or as there is only one.
    fn going(&self, is: Number, path: &str) -> Option<usize> {
        if self.major != Some(is.0) || self.there.contains(&is) {
            return None;
        }
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        let name = path.rsplit('/').next()?;
        let going = || (0..self.wanted.len()).filter(|n| self.wanted[*n].is_going());
        let mut named = going().filter(|n| self.wanted[*n].device == name);
        let only = || going().next().filter(|_| going().count() == 1);
        named.next().or_else(only)
    }
}

/// A line of `/proc/PID/maps`.
struct Mapping {
    start: u64,
    end: u64,
    shared: bool,
    on: Number,
    inode: u64,
    path: String,
}

impl Mapping {
    /// From `7f0000000000-7f0000200000 rw-s 00000000 00:05 93    /dev/dax0.0`; `None` of what maps no file.
    fn parse(line: &str) -> Option<Self> {
        let mut rest = line;
        let mut column = || {
            let (column, after) = rest.split_once(' ')?;
            rest = after;
            Some(column)
        };
        let (range, flags, _offset) = (column()?, column()?, column()?);
        let (on, inode) = (column()?, column()?);
        let (start, end) = range.split_once('-')?;
        Some(Self {
            start: u64::from_str_radix(start, 16).ok()?,
            end: u64::from_str_radix(end, 16).ok()?,
            shared: flags.ends_with('s'),
            on: numbers::parse(on, 16)?,
            inode: inode.parse().ok()?,
            path: rest.trim_start().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
