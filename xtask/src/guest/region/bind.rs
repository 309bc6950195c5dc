//! A region's driver taken away and given back: its pagemap goes and comes, and ndctl need not run.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use super::{Device, Mode};

impl Device {
    /// `memunmap_pages` has returned when this does.
    pub fn unbind(&self) -> Result<()> {
        self.tell("unbind")
    }

    pub fn bind(&self) -> Result<()> {
        self.tell("bind")
    }

    /// Over and over; it is bound in the end. Returns how often.
    pub fn cycle_until(&self, stop: &AtomicBool) -> Result<u64> {
        let mut cycles = 0;
        while !stop.load(Ordering::Relaxed) {
            self.unbind()?;
            self.bind()?;
            cycles += 1;
        }
        Ok(cycles)
    }

    fn tell(&self, file: &str) -> Result<()> {
        let (driver, device) = self.driver()?;
        let path = PathBuf::from(driver).join(file);
        fs::write(&path, &device)
            .with_context(|| format!("cannot write {device} to {}", path.display()))
    }

    /// Who calls `memremap_pages` for it, and for what device: device-dax for the dax device (drivers/dax/device.c),
    /// the pmem driver for the namespace's pfn device (drivers/nvdimm/pmem.c).
    fn driver(&self) -> Result<(&'static str, String)> {
        Ok(match self.wanted.mode {
            Mode::Devdax(_) => ("/sys/bus/dax/drivers/device_dax", self.name()),
            Mode::Fsdax => ("/sys/bus/nd/drivers/nd_pmem", self.pfn()?),
        })
    }

    fn pfn(&self) -> Result<String> {
        let home = "/sys/bus/nd/devices";
        for entry in fs::read_dir(home).with_context(|| format!("cannot read {home}"))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = fs::read_to_string(entry.path().join("namespace")).unwrap_or_default();
            if name.starts_with("pfn") && owner.trim() == self.namespace {
                return Ok(name);
            }
        }
        anyhow::bail!("no pfn device in {home} belongs to {}", self.namespace)
    }
}
