//! Namespaces of persistent memory with struct pages: made, bound, unbound, destroyed.

mod account;
mod bind;
mod kernel;
mod namespaces;

use std::fmt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::oracle;
pub use account::Account;
pub use namespaces::{Namespaces, all as all_namespaces};

use kernel::{claimed_bytes, sysfs_number};

pub const PAGE: u64 = 4096;
/// Bytes of one `struct page` on x86-64.
pub const STRUCT_PAGE: u64 = 64;
/// Bytes of memory in one section of the memory map (`SECTION_SIZE_BITS`, arch/x86/include/asm/sparsemem.h).
pub const SECTION: u64 = 128 << 20;

/// Page size of the metadata that a namespace asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub name: &'static str,
    pub bytes: u64,
}

pub const GEOMETRIES: [Geometry; 3] = [
    Geometry {
        name: "4K",
        bytes: PAGE,
    },
    Geometry {
        name: "2M",
        bytes: 2 << 20,
    },
    Geometry {
        name: "1G",
        bytes: 1 << 30,
    },
];

/// Where the struct pages live: in RAM, or on the device itself (an altmap, never deduplicated).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    Mem,
    Dev,
}

/// What a namespace is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Devdax(Geometry),
    Fsdax,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub mode: Mode,
    pub map: Map,
}

impl Wanted {
    pub fn devdax(geometry: Geometry, map: Map) -> Wanted {
        let mode = Mode::Devdax(geometry);
        Wanted { mode, map }
    }

    /// Bytes that a page of it asks for; fsdax asks for nothing and gets base pages.
    pub fn geometry(self) -> Geometry {
        match self.mode {
            Mode::Devdax(geometry) => geometry,
            Mode::Fsdax => GEOMETRIES[0],
        }
    }

    /// As the agent names `pgmap->type`.
    pub fn kind(self) -> &'static str {
        match self.mode {
            Mode::Devdax(_) => "generic",
            Mode::Fsdax => "fs_dax",
        }
    }

    fn map_word(self) -> &'static str {
        match self.map {
            Map::Mem => "mem",
            Map::Dev => "dev",
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self.mode {
            Mode::Devdax(geometry) => write!(out, "devdax-{}", geometry.name)?,
            Mode::Fsdax => write!(out, "fsdax")?,
        }
        write!(out, "-{}", self.map_word())
    }
}

/// A namespace that is a device-dax device or a block device with struct pages now.
#[derive(Clone, Debug)]
pub struct Device {
    pub namespace: String,
    pub path: PathBuf,
    pub wanted: Wanted,
    /// What a device-dax device asked for.
    pub asked: Geometry,
    /// Physical address of the pagemap's first byte.
    pub start: u64,
    /// Bytes of the pagemap's range: the whole namespace, its info block included (`__nvdimm_setup_pfn`).
    pub bytes: u64,
}

impl Device {
    pub fn create(namespace: &str, wanted: Wanted) -> Result<Device> {
        let made = make(namespace, wanted)?;
        let name = match wanted.mode {
            Mode::Devdax(_) => &made["daxregion"]["devices"][0]["chardev"],
            Mode::Fsdax => &made["blockdev"],
        };
        let name = name
            .as_str()
            .with_context(|| format!("ndctl made {namespace} but names no device: {made}"))?;
        let asked = wanted.geometry();
        let bytes = sysfs_number(format!("/sys/bus/nd/devices/{namespace}/size"))?;
        let start = sysfs_number(format!("/sys/bus/nd/devices/{namespace}/resource"))?;
        let claimed = claimed_bytes(start, &[namespace, name])?;
        ensure!(
            claimed == bytes,
            "{namespace} has {bytes} bytes in sysfs but {claimed} in /proc/iomem"
        );
        if let Mode::Devdax(_) = wanted.mode {
            let align = align(name)?;
            ensure!(
                align == asked.bytes,
                "{name} has align {align}, asked for {}",
                asked.bytes
            );
            appeared(name)?;
        }
        let (namespace, path) = (namespace.to_owned(), PathBuf::from("/dev").join(name));
        Ok(Device {
            namespace,
            path,
            wanted,
            asked,
            start,
            bytes,
        })
    }

    pub fn destroy(&self) -> Result<()> {
        ndctl(&["destroy-namespace", "-f", &self.namespace]).map(drop)
    }

    /// `dax0.0` or `pmem0`.
    pub fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    pub fn struct_pages(&self) -> u64 {
        self.bytes / PAGE
    }

    /// The geometry that the kernel can give: before `dev_pagemap.vmemmap_shift` every devmap is 4K.
    pub fn geometry(&self) -> Result<Geometry> {
        Ok(if oracle::has_vmemmap_shift()? {
            self.asked
        } else {
            GEOMETRIES[0]
        })
    }

    /// What its struct pages take, by arithmetic.
    pub fn account(&self) -> Result<Account> {
        Ok(Account::of(
            self.start,
            self.bytes,
            self.geometry()?,
            self.wanted.map,
        ))
    }
}

fn make(namespace: &str, wanted: Wanted) -> Result<serde_json::Value> {
    // Without labels the region's one namespace exists already and is reconfigured in place.
    let mut words = vec!["create-namespace", "-f", "-e", namespace];
    match wanted.mode {
        Mode::Devdax(geometry) => words.extend(["-m", "devdax", "-a", geometry.name]),
        Mode::Fsdax => words.extend(["-m", "fsdax"]),
    }
    words.extend(["-M", wanted.map_word()]);
    serde_json::from_str(&ndctl(&words)?).context("ndctl did not print JSON")
}

/// One device of each geometry.
pub fn create_all() -> Result<Vec<Device>> {
    let namespaces = Namespaces::find()?;
    let each = namespaces.by_geometry().into_iter().zip(GEOMETRIES);
    each.map(|(namespace, asked)| Device::create(namespace, Wanted::devdax(asked, Map::Mem)))
        .collect()
}

/// Where the kernel shows a dax device: on its bus, or in a class of that name if the driver `dax_pmem_compat`
/// took it, as 5.10 may have it. The driver binds after ndctl has returned, on a busy machine seconds later.
fn appeared(chardev: &str) -> Result<PathBuf> {
    let node = PathBuf::from("/dev").join(chardev);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let places = ["/sys/bus/dax/devices", "/sys/class/dax"];
        let found = places
            .into_iter()
            .find_map(|place| PathBuf::from(place).join(chardev).canonicalize().ok());
        match found {
            Some(device) if node.exists() => return Ok(device),
            _ => ensure!(
                Instant::now() < deadline,
                "{chardev} did not appear in sysfs and /dev within 10 s"
            ),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Alignment of a dax device, the unit in which it can be mapped. Old kernels show it only on the NVDIMM
/// device that is the dax device's ancestor.
pub fn align(chardev: &str) -> Result<u64> {
    let device = appeared(chardev)?;
    let path = device
        .ancestors()
        .map(|device| device.join("align"))
        .find(|path| path.exists());
    sysfs_number(&path.with_context(|| format!("no align in or above {}", device.display()))?)
}

fn ndctl(words: &[&str]) -> Result<String> {
    let command = || format!("ndctl {}", words.join(" "));
    let out = Command::new("ndctl")
        .args(words)
        .output()
        .with_context(|| format!("cannot run {}", command()))?;
    if !out.status.success() {
        bail!(
            "{}: {}: {}",
            command(),
            out.status,
            String::from_utf8_lossy(&out.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
