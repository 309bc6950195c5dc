//! Numbers of device files: what a device, its partitions, and block devices made of it are told apart by.

use std::{fs, path::Path};

/// Major and minor.
pub type Number = (u32, u32);

/// Where sysfs has devices by name; the second for 5.10's `dax_pmem_compat`.
const PLACES: [&str; 3] = ["bus/dax/devices", "class/dax", "class/block"];
/// Block devices can be stacked: a partition of persistent memory, in a volume group, encrypted, and so on.
const DEPTH: u32 = 8;

/// All numbers of a device; none where sysfs does not have it (any more).
#[must_use]
pub fn numbers(sysfs: &Path, device: &str) -> Vec<Number> {
    let mut found = vec![];
    collect(sysfs, device, DEPTH, &mut found);
    found
}

fn collect(sysfs: &Path, device: &str, depth: u32, found: &mut Vec<Number>) {
    for folder in PLACES.map(|place| sysfs.join(place).join(device)) {
        let number = fs::read_to_string(folder.join("dev"));
        let Some(number) = number.ok().and_then(|text| parse(&text, 10)) else {
            continue;
        };
        found.push(number);
        if depth == 0 {
            continue;
        }
        for above in made_of(&folder) {
            collect(sysfs, &above, depth - 1, found);
        }
    }
    found.sort_unstable();
    found.dedup();
}

/// Partitions, and devices that hold this one (Documentation/ABI/stable/sysfs-block).
fn made_of(folder: &Path) -> Vec<String> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let partitions = entries(folder).filter(|entry| entry.path().join("partition").is_file());
    let names = partitions.chain(entries(&folder.join("holders")));
    names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The numbers of all dax devices.
#[must_use]
pub fn all_dax(sysfs: &Path) -> Vec<Number> {
    let places = PLACES.iter().filter(|place| place.contains("dax"));
    let folders = places.flat_map(|place| fs::read_dir(sysfs.join(place)).into_iter().flatten());
    let names = folders
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    names.flat_map(|name| numbers(sysfs, &name)).collect()
}

/// The major number that all dax devices share, from `/proc/devices` (`dax_core_init`, drivers/dax/super.c).
#[must_use]
pub fn dax_major(devices: &str) -> Option<u32> {
    let (characters, _) = devices.split_once("Block devices").unwrap_or((devices, ""));
    let mut lines = characters.lines();
    lines.find_map(|line| line.trim().strip_suffix(" dax")?.trim().parse().ok())
}

/// From `252:0`, or `fd:01` in base 16.
#[must_use]
pub fn parse(text: &str, base: u32) -> Option<Number> {
    let (major, minor) = text.trim().split_once(':')?;
    let number = |digits| u32::from_str_radix(digits, base).ok();
    Some((number(major)?, number(minor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_device_has_also_the_numbers_of_what_is_made_of_it() {
        let sysfs = std::env::temp_dir().join(format!("daxscope-sys-{}", std::process::id()));
        let file = |path: &str, text: &str| {
            let path = sysfs.join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        file("class/block/pmem0/dev", "259:0\n");
        file("class/block/pmem0/pmem0p1/partition", "1\n");
        file("class/block/pmem0/queue/dev", "7:7\n");
        file("class/block/pmem0p1/dev", "259:1\n");
        file("class/block/pmem0p1/holders/dm-0/dev", "254:0\n");
        file("class/block/dm-0/dev", "254:0\n");
        file("bus/dax/devices/dax1.0/dev", "251:3\n");
        let pmem = numbers(&sysfs, "pmem0");
        let dax = numbers(&sysfs, "dax1.0");
        let none = numbers(&sysfs, "generic#0");
        let all = all_dax(&sysfs);
        fs::remove_dir_all(&sysfs).expect("removes it");
        assert_eq!(pmem, [(254, 0), (259, 0), (259, 1)]);
        assert_eq!((dax, none), (vec![(251, 3)], vec![]));
        assert_eq!(all, [(251, 3)]);
    }

    #[test]
    fn the_major_of_dax_is_of_a_character_device() {
        let devices = "Character devices:\n  1 mem\n252 dax\n\nBlock devices:\n  7 loop\n";
        assert_eq!(dax_major(devices), Some(252));
        assert_eq!(
            dax_major("Character devices:\n\nBlock devices:\n  7 dax\n"),
            None
        );
    }
}
