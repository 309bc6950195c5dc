//! The device: which one is meant, whether it can be mapped, and whether somebody else has it.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    holders::{
        numbers,
        users::{self, Wanted},
    },
    inventory::names::{Device, Names, SYSFS, SYSTEM_RAM},
    text,
};

/// A device-dax device that has a driver.
///
/// # Errors
/// When there is none of that name, or it is something else: why, and what can be done.
pub fn find<'a>(names: &'a Names, wanted: &str) -> Result<&'a Device> {
    let is = |name: &str| name == wanted.strip_prefix("/dev/").unwrap_or(wanted);
    let mut devices = names.devices().iter();
    let found = devices.find(|d| is(&d.device) || d.namespace.as_deref().is_some_and(is));
    let Some(device) = found else {
        let known: Vec<_> = names.devices().iter().map(|d| &*d.device).collect();
        bail!(
            "no device {}; sysfs has: {}",
            text::foreign(wanted.as_bytes()),
            known.join(" ")
        );
    };
    let name = &device.device;
    match device.mode.as_str() {
        "devdax" if device.driver.is_some() => Ok(device),
        "devdax" => bail!(
            "{name} is disabled: `daxctl enable-device {name}`, or `ndctl enable-namespace` for its namespace"
        ),
        SYSTEM_RAM => bail!(
            "{name} is memory of the system now (driver kmem): it has no geometry of its own to measure"
        ),
        mode => bail!(
            "{name} is of mode {mode}, and only device-dax (mode devdax) can be mapped without a file system: take such a device. \
             `ndctl create-namespace -f -e {} -m devdax` would make it one, and destroy all that is on it",
            device.namespace.as_deref().unwrap_or(name)
        ),
    }
}

/// How much of it is gone over: a multiple of what can be mapped.
///
/// # Errors
/// When its size cannot be told, or it is smaller than that.
pub fn bytes(device: &Device, align: u64, most: u64) -> Result<u64> {
    let path = Path::new("/sys/bus/dax/devices")
        .join(&device.device)
        .join("size");
    let class = Path::new("/sys/class/dax")
        .join(&device.device)
        .join("size");
    let size = fs::read_to_string(&path).or_else(|_| fs::read_to_string(class));
    let size = size.with_context(|| format!("cannot read {}", path.display()))?;
    let size: u64 = size
        .trim()
        .parse()
        .with_context(|| format!("{} is no number", path.display()))?;
    let bytes = size.min(most.max(align)) / align * align;
    ensure!(
        bytes > 0,
        "{} is smaller than its own alignment",
        device.device
    );
    Ok(bytes)
}

/// Refuses a device that somebody has open, mapped or mounted: what they pin could not be told from what we do. Refuses one
/// with known bad blocks too, which would end whoever reads them.
///
/// # Errors
/// Who has it.
pub fn ensure_idle(device: &Device) -> Result<()> {
    let name = &device.device;
    let sysfs = Path::new(SYSFS);
    let wanted = Wanted {
        device: name.clone(),
        numbers: numbers::numbers(sysfs, name),
    };
    let users = users::search(Path::new("/proc"), &[wanted], &numbers::all_dax(sysfs));
    if let Some(user) = users.processes.first() {
        bail!(
            "{name} is in use: {} (pid {}) maps {} of it and has {} files of it open; bench measures idle devices only",
            user.process,
            user.pid,
            text::bytes(user.mapped),
            user.open
        );
    }
    if let Some(mount) = users.mounts.first() {
        bail!("{name} is mounted on {}: umount it first", mount.path);
    }
    if let Some(region) = &device.region {
        let path = sysfs.join("bus/nd/devices").join(region).join("badblocks");
        let bad = fs::read_to_string(path).unwrap_or_default();
        ensure!(
            bad.trim().is_empty(),
            "{region} has bad blocks, and reading one would end this process: `ndctl list -RM` shows them"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let device = |name: &str, mode: &str, driver: Option<&str>| Device {
            device: name.into(),
            namespace: Some(name.replace("dax", "namespace")),
            region: None,
            node: None,
            driver: driver.map(str::to_owned),
            mode: mode.into(),
            align: Some(2 << 20),
            map: None,
            ranges: Err("not read".into()),
        };
        Names::new(vec![
            device("dax0.0", "devdax", Some("device_dax")),
            device("dax1.0", "devdax", None),
            device("dax2.0", "system-ram", Some("kmem")),
            device("pmem3", "fsdax", Some("nd_pmem")),
        ])
    }

    #[test]
    fn only_device_dax_is_taken_and_the_remedy_is_named() {
        let names = names();
        for wanted in ["dax0.0", "/dev/dax0.0", "namespace0.0"] {
            assert_eq!(find(&names, wanted).expect("there").device, "dax0.0");
        }
        for (wanted, word) in [
            ("dax1.0", "enable"),
            ("dax2.0", "kmem"),
            ("pmem3", "-m devdax"),
            ("dax9.9", "sysfs has: dax0.0"),
        ] {
            let error = find(&names, wanted).expect_err("refused").to_string();
            assert!(error.contains(word), "{wanted}: {error}");
        }
    }
}
