//! What people call the memory behind a pagemap: device, namespace, region, node. Read from sysfs once, then asked by
//! physical address.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use super::Range;

/// Where sysfs is.
pub const SYSFS: &str = "/sys";
/// Dax devices: on their bus, or in a class if 5.10's `dax_pmem_compat` took them (drivers/dax/bus.c).
const DAX: [&str; 2] = ["bus/dax/devices", "class/dax"];
const NVDIMM: &str = "bus/nd/devices";
/// The mode of memory that `kmem` has given to the system.
pub const SYSTEM_RAM: &str = "system-ram";
/// Of 7.3's `fsdev_dax` (drivers/dax/fsdev.c), for file systems on dax devices. ndctl has no word for it yet.
const FSDEV: &str = "fsdev";

/// Every device of the host that can have a pagemap and that sysfs lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    devices: Vec<Device>,
}

/// A dax device, or a namespace of persistent memory and what is made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// `dax0.0`, `pmem0`; of a namespace that nothing has taken, its own name.
    pub device: String,
    /// `namespace0.0`; dax devices of CXL or set-aside RAM have none.
    pub namespace: Option<String>,
    /// `region0` of the NVDIMM or CXL bus, else the parent of the dax device, such as `hmem.0`.
    pub region: Option<String>,
    /// The node that struct pages are taken from when they are in RAM (`dev_to_node`, mm/memremap.c).
    pub node: Option<u32>,
    /// What drives it now, such as `device_dax`, `kmem`, `nd_pmem`; `None` while it is disabled, without a pagemap.
    pub driver: Option<String>,
    /// `devdax`, `fsdax`, `sector`, `raw` or `system-ram`, the words of ndctl and daxctl; or `fsdev`.
    pub mode: String,
    /// Of mappings, in bytes. On a kernel whose pagemaps have a geometry, that of a devdax device is this.
    pub align: Option<u64>,
    /// Where struct pages are asked to be; `None` without struct pages, or where sysfs does not tell it.
    pub map: Option<Map>,
    /// What it spans, a namespace with its info block. `Err` holds the reason where sysfs does not tell it.
    pub ranges: Result<Vec<Range>, String>,
}

/// Where the struct pages of a device are: `map` of `ndctl create-namespace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// In RAM.
    Mem,
    /// On the device itself.
    Dev,
}

impl Map {
    /// As ndctl spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mem => "mem",
            Self::Dev => "dev",
        }
    }
}

impl From<Vec<Device>> for Names {
    fn from(devices: Vec<Device>) -> Self {
        Self { devices }
    }
}

impl Names {
    /// These devices, sorted by name.
    #[must_use]
    pub fn new(mut devices: Vec<Device>) -> Self {
        devices.sort_by(|a, b| a.device.cmp(&b.device));
        Self { devices }
    }

    /// Reads the tree at `root`, [`SYSFS`] but in tests. What is not there is left out.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let mut of_namespaces = HashMap::new();
        let mut devices = vec![];
        for folder in DAX.iter().flat_map(|place| folders(&root.join(place))) {
            // Without a size: the first device of a region is there for ever, even when it has been emptied.
            if matches!(number(&folder, "size"), Ok(0)) {
                continue;
            }
            match above(&folder, |above| text(above, "namespace").is_some()) {
                Some(nvdimm) => drop(of_namespaces.insert(nvdimm, folder)),
                None => devices.push(dax(&folder)),
            }
        }
        let namespaces = folders(&root.join(NVDIMM));
        let namespaces = namespaces.iter().filter(|folder| {
            // The namespace that waits to be made of free space has no size.
            name(folder).starts_with("namespace") && !matches!(number(folder, "size"), Ok(0))
        });
        devices.extend(namespaces.map(|folder| namespace(folder, &of_namespaces)));
        Self::new(devices)
    }

    /// All of them, by name.
    #[must_use]
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The device that a range of a pagemap lies in. Of a namespace, a pagemap spans all but what its alignment cuts
    /// off at both ends (`__nvdimm_setup_pfn`, `drivers/nvdimm/pfn_devs.c`).
    #[must_use]
    pub fn of(&self, range: &Range) -> Option<&Device> {
        let contains = |outer: &Range| outer.start <= range.start && range.end <= outer.end;
        self.devices
            .iter()
            .find(|device| matches!(&device.ranges, Ok(all) if all.iter().any(contains)))
    }
}

/// A namespace, and the block device or dax device made of it. What claims it (`holder`: a `pfn`, `dax` or `btt`
/// device beside it) has its mode; without a claim it is a raw block device.
fn namespace(folder: &Path, dax: &HashMap<PathBuf, PathBuf>) -> Device {
    let holder = text(folder, "holder").map(|holder| folder.with_file_name(holder));
    let holder = holder.as_deref().unwrap_or(folder);
    let dax = dax.get(holder).map(PathBuf::as_path);
    let block = folders(&holder.join("block")).pop();
    let shown = dax.or(block.as_deref()).unwrap_or(folder);
    // mode_show, drivers/nvdimm/namespace_devs.c
    let mode = match text(folder, "mode").as_deref() {
        Some("memory") => "fsdax",
        Some("dax") => dax_mode(dax.and_then(driver).as_deref()),
        Some("safe") => "sector",
        _ => "raw",
    };
    // mode_show, drivers/nvdimm/pfn_devs.c. An fsdax namespace has no other word than its holder's either.
    let map = match text(holder, "mode").as_deref() {
        Some("ram") => Some(Map::Mem),
        Some("pmem") => Some(Map::Dev),
        _ => None,
    };
    Device {
        device: name(shown),
        namespace: Some(name(folder)),
        region: region(folder),
        node: node(folder),
        driver: dax.map_or_else(|| driver(holder), driver),
        mode: mode.to_owned(),
        align: number(holder, "align").ok(),
        map,
        ranges: span(folder).map(|range| vec![range]),
    }
}

/// A dax device on no namespace: of CXL memory, or of RAM that the firmware or the command line set aside. Its struct
/// pages are in RAM: `dev_dax_probe` (drivers/dax/device.c) gives it no altmap.
fn dax(folder: &Path) -> Device {
    let driver = driver(folder);
    let mode = dax_mode(driver.as_deref());
    Device {
        device: name(folder),
        namespace: None,
        region: region(folder),
        node: node(folder),
        driver,
        mode: mode.to_owned(),
        align: number(folder, "align").ok(),
        map: (mode != SYSTEM_RAM).then_some(Map::Mem),
        ranges: mappings(folder),
    }
}

/// What a driver makes of a dax device, or would if it were there. Memory that `kmem` has given to the system has no
/// pagemap.
fn dax_mode(driver: Option<&str>) -> &'static str {
    match driver {
        Some("kmem") => SYSTEM_RAM,
        Some("fsdev_dax") => FSDEV,
        _ => "devdax",
    }
}

/// The ranges of a dax device in the order of its pagemap; where there is one, some kernels have no folder for it.
fn mappings(folder: &Path) -> Result<Vec<Range>, String> {
    let index = |path: &Path| name(path).strip_prefix("mapping")?.parse::<u32>().ok();
    let mut mappings = folders(folder);
    mappings.retain(|path| index(path).is_some());
    mappings.sort_by_key(|path| index(path));
    if mappings.is_empty() {
        return span(folder).map(|range| vec![range]);
    }
    let range = |mapping: &PathBuf| {
        let (start, end) = (address(mapping, "start")?, address(mapping, "end")?);
        Ok(Range { start, end })
    };
    mappings.iter().map(range).collect()
}

/// From the files `resource` and `size`.
fn span(folder: &Path) -> Result<Range, String> {
    let (start, size) = (address(folder, "resource")?, number(folder, "size")?);
    if size == 0 {
        return Err(format!("{} has no size", name(folder)));
    }
    let end = start + (size - 1);
    Ok(Range { start, end })
}

/// The driver of a device. Of one in a class, that of its parent.
fn driver(folder: &Path) -> Option<String> {
    let classed = folder.parent().is_some_and(|parent| name(parent) == "dax");
    let bound = if classed {
        folder.ancestors().nth(2)?
    } else {
        folder
    };
    fs::read_link(bound.join("driver"))
        .ok()
        .map(|driver| name(&driver))
}

fn region(folder: &Path) -> Option<String> {
    let numbered = |above: &Path| {
        let name = name(above);
        let number = name.strip_prefix("region");
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    above(folder, numbered)
        .or_else(|| above(folder, |above| above.join("dax_region").is_dir()))
        .map(|region| name(&region))
}

fn node(folder: &Path) -> Option<u32> {
    // -1 is none.
    text(folder, "numa_node")?.parse().ok()
}

/// The nearest folder above that is like that.
fn above(folder: &Path, is: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let mut above = folder.ancestors().skip(1);
    above.find(|above| is(above)).map(Path::to_path_buf)
}

/// What a folder holds, links followed; nothing if there is no such folder.
fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.path().canonicalize().ok())
        .filter(|path| path.is_dir())
        .collect()
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The words of a file; `None` if there are none.
fn text(folder: &Path, file: &str) -> Option<String> {
    let text = fs::read_to_string(folder.join(file)).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A number, hexadecimal if it says so.
fn number(folder: &Path, file: &str) -> Result<u64, String> {
    let path = folder.join(file);
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let text = text.trim();
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| format!("{} holds {text:?}, not a number", path.display()))
}

/// A physical address, which the kernel shows to root only.
fn address(folder: &Path, file: &str) -> Result<u64, String> {
    match number(folder, file) {
        Ok(0) => Err(format!(
            "{} says 0: the kernel hides addresses from us; run as root",
            folder.join(file).display()
        )),
        Err(error) => Err(format!("{error}; addresses are for root")),
        found => found,
    }
}

#[cfg(test)]
mod tests;
