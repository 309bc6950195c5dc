//! Namespaces of the guest's emulated NVDIMMs, one each: without labels they exist from the start.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::kernel::sysfs_number;
use super::{GEOMETRIES, SECTION};

/// The guest's namespaces by what can be made of them.
pub struct Namespaces {
    /// Of a GiB, then more: all geometries but 1G, which loses up to a GiB to its alignment.
    pub small: Vec<String>,
    /// Whole GiB, two at least: for 1G.
    pub large: Vec<String>,
    /// No multiple of a section of the memory map (128 MiB).
    pub odd: Vec<String>,
}

/// All that are not empty, region0's first.
pub fn all() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for region in 0.. {
        let name = format!("namespace{region}.0");
        let path = format!("/sys/bus/nd/devices/{name}/size");
        if !fs::exists(&path)? {
            break;
        }
        ensure!(sysfs_number(path)? > 0, "{name} is empty");
        found.push(name);
    }
    Ok(found)
}

impl Namespaces {
    pub fn find() -> Result<Namespaces> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/sys/bus/nd/devices")
            .context("no NVDIMM bus: boot with emulated NVDIMMs")?
        {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.starts_with("namespace") {
                let bytes = sysfs_number(format!("/sys/bus/nd/devices/{name}/size"))?;
                found.push((bytes, name));
            }
        }
        found.retain(|(bytes, _)| *bytes > 0);
        found.sort();
        let mut sorted = Namespaces {
            small: Vec::new(),
            large: Vec::new(),
            odd: Vec::new(),
        };
        for (bytes, name) in found {
            let to = if bytes % SECTION != 0 {
                &mut sorted.odd
            } else if bytes % GEOMETRIES[2].bytes == 0 && sorted.small.len() >= 2 {
                &mut sorted.large
            } else {
                &mut sorted.small
            };
            to.push(name);
        }
        ensure!(
            sorted.small.len() >= 2 && !sorted.large.is_empty(),
            "three namespaces of whole GiB are needed, the third of 2 GiB or more: one emulated NVDIMM each"
        );
        Ok(sorted)
    }

    /// One for each geometry.
    pub fn by_geometry(&self) -> [&str; GEOMETRIES.len()] {
        [
            &self.small[0],
            &self.small[1],
            &self.large[self.large.len() - 1],
        ]
    }
}
