//! Device-dax namespaces of one geometry each, and what the kernel says about them.

mod kernel;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::oracle;
use kernel::{claimed_bytes, sysfs_number};

pub const PAGE: u64 = 4096;
/// Bytes of one `struct page` on x86-64.
pub const STRUCT_PAGE: u64 = 64;

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

/// Where the struct pages live: in DRAM, or on the device itself (an altmap, never deduplicated).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    Mem,
    Dev,
}

/// A namespace that is a device-dax device now.
#[derive(Debug)]
pub struct Device {
    pub namespace: String,
    pub path: PathBuf,
    pub asked: Geometry,
    map: Map,
    /// Bytes of the pagemap's range: the whole namespace, its info block included (`__nvdimm_setup_pfn`).
    pub bytes: u64,
}

impl Device {
    pub fn create(namespace: &str, asked: Geometry, map: Map) -> Result<Device> {
        let place = match map {
            Map::Mem => "mem",
            Map::Dev => "dev",
        };
        // Without labels the region's one namespace exists already and is reconfigured in place.
        let words = [
            "create-namespace",
            "-f",
            "-e",
            namespace,
            "-m",
            "devdax",
            "-a",
            asked.name,
            "-M",
            place,
        ];
        let json = ndctl(&words)?;
        let made: serde_json::Value =
            serde_json::from_str(&json).context("ndctl did not print JSON")?;
        let chardev = made["daxregion"]["devices"][0]["chardev"]
            .as_str()
            .with_context(|| format!("ndctl made {namespace} but names no dax device: {json}"))?;
        let align = align(chardev)?;
        ensure!(
            align == asked.bytes,
            "{chardev} has align {align}, asked for {}",
            asked.bytes
        );
        let bytes = sysfs_number(format!("/sys/bus/nd/devices/{namespace}/size"))?;
        let start = sysfs_number(format!("/sys/bus/nd/devices/{namespace}/resource"))?;
        let claimed = claimed_bytes(start, &[namespace, chardev])?;
        ensure!(
            claimed == bytes,
            "{namespace} has {bytes} bytes in sysfs but {claimed} in /proc/iomem"
        );
        appeared(chardev)?;
        let (namespace, path) = (namespace.to_owned(), PathBuf::from("/dev").join(chardev));
        Ok(Device {
            namespace,
            path,
            asked,
            map,
            bytes,
        })
    }

    pub fn destroy(&self) -> Result<()> {
        ndctl(&["destroy-namespace", "-f", &self.namespace]).map(drop)
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

    /// Pages that hold the struct pages.
    pub fn backing_pages(&self) -> Result<u64> {
        Ok(match self.map {
            Map::Dev => self.struct_pages() * STRUCT_PAGE / PAGE,
            Map::Mem => backed(self.struct_pages(), self.geometry()?) * STRUCT_PAGE / PAGE,
        })
    }
}

/// A compound whose struct pages need more than two vmemmap pages has only those two, all others map the second
/// again (`Documentation/mm/vmemmap_dedup.rst`). Kernels with `vmemmap_shift` but without that (5.17, 5.18) are not told apart.
fn backed(struct_pages: u64, geometry: Geometry) -> u64 {
    let of_compound = geometry.bytes / PAGE;
    let backed = 2 * PAGE / STRUCT_PAGE;
    struct_pages / of_compound * of_compound.min(backed)
}

/// The namespaces of the guest, smallest first, so that the last has room for 1G alignment.
pub fn namespaces() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir("/sys/bus/nd/devices").context("no NVDIMM bus: boot with emulated NVDIMMs")?
    {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("namespace") {
            let bytes = sysfs_number(format!("/sys/bus/nd/devices/{name}/size"))?;
            found.push((bytes, name));
        }
    }
    found.retain(|(bytes, _)| *bytes > 0);
    found.sort();
    ensure!(
        found.len() >= GEOMETRIES.len(),
        "{} namespaces with a size, {} are needed: one emulated NVDIMM each",
        found.len(),
        GEOMETRIES.len()
    );
    Ok(found.into_iter().map(|(_, name)| name).collect())
}

/// One device of each geometry.
pub fn create_all() -> Result<Vec<Device>> {
    namespaces()?
        .iter()
        .zip(GEOMETRIES)
        .map(|(namespace, asked)| Device::create(namespace, asked, Map::Mem))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deduplicated_struct_pages_follow_the_measured_table() {
        // nr_memmap_pages of 6.12 with 1 GiB, 1 GiB and 3 GiB: 4096, 1024 and 6 pages.
        let gib = (1 << 30) / PAGE;
        for (pages, geometry, backing) in [(gib, 0, 4096), (gib, 1, 1024), (3 * gib, 2, 6)] {
            assert_eq!(
                backed(pages, GEOMETRIES[geometry]),
                backing * PAGE / STRUCT_PAGE
            );
        }
    }
}
