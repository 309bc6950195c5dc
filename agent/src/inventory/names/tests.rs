//! Trees made up after those of guests with 5.10, 6.1, 6.12 and 7.3, of files that matter here.

use std::os::unix::fs::symlink;

use super::*;

/// A folder that is gone with the value.
struct Tree(PathBuf);

impl Tree {
    fn new(test: &str) -> Self {
        let folder = format!("daxscope-{test}-{}", std::process::id());
        let root = std::env::temp_dir().join(folder);
        fs::create_dir_all(&root).expect("a folder for the test");
        Self(root)
    }

    /// A device at `path`, listed on a bus or in a class, with its files; a file `driver` is a link.
    fn device(&self, list: &str, path: &str, files: &[(&str, &str)]) -> &Self {
        let folder = self.0.join("devices").join(path);
        fs::create_dir_all(&folder).expect("a device");
        for (file, text) in files {
            let file = folder.join(file);
            fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
            if file.ends_with("driver") {
                symlink(Path::new("/drivers").join(text), file).expect("a driver");
            } else {
                fs::write(file, format!("{text}\n")).expect("a file");
            }
        }
        if !list.is_empty() {
            let list = self.0.join(list);
            fs::create_dir_all(&list).expect("a list");
            symlink(&folder, list.join(name(&folder))).expect("a link");
        }
        self
    }

    fn names(&self) -> Names {
        Names::read(&self.0)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const RANGE: Range = Range {
    start: 0x1_4000_0000,
    end: 0x1_bfff_ffff,
};

fn namespace(tree: &Tree, mode: &str, holder: &str) {
    let files = [
        ("mode", mode),
        ("holder", holder),
        ("resource", "0x140000000"),
        ("size", "2147483648"),
        ("numa_node", "1"),
    ];
    tree.device(NVDIMM, "ndbus0/region0/namespace0.0", &files);
    // The one that waits to be made.
    let seed = [("mode", "raw"), ("resource", ""), ("size", "0")];
    tree.device(NVDIMM, "ndbus0/region0/namespace0.1", &seed);
}

fn expected(device: &str, driver: &str, mode: &str, map: Option<Map>) -> Device {
    Device {
        device: device.into(),
        namespace: Some("namespace0.0".into()),
        region: Some("region0".into()),
        node: Some(1),
        driver: (!driver.is_empty()).then(|| driver.into()),
        mode: mode.into(),
        align: map.map(|_| 2 << 20),
        map,
        ranges: Ok(vec![RANGE]),
    }
}

#[test]
fn devdax_has_the_range_of_its_namespace_and_the_name_of_its_dax_device() {
    let tree = Tree::new("devdax");
    namespace(&tree, "dax", "dax0.3");
    let holder = [
        ("namespace", "namespace0.0"),
        ("mode", "ram"),
        ("align", "2097152"),
        ("driver", "dax_pmem"),
    ];
    tree.device(NVDIMM, "ndbus0/region0/dax0.3", &holder);
    let dax = [
        ("resource", "0x140200000"),
        ("size", "2145386496"),
        ("driver", "device_dax"),
        ("mapping0/start", "0x140200000"),
        ("mapping0/end", "0x1bfffffff"),
    ];
    tree.device(DAX[0], "ndbus0/region0/dax0.3/dax0.0", &dax);
    let names = tree.names();
    let expected = expected("dax0.0", "device_dax", "devdax", Some(Map::Mem));
    assert_eq!(names.devices(), [expected]);
    let of = |start, end| names.of(&Range { start, end }).map(|d| d.device.as_str());
    assert_eq!(of(RANGE.start, RANGE.end), Some("dax0.0"));
    assert_eq!(
        of(RANGE.start + 0x20_0000, RANGE.end - 0x20_0000),
        Some("dax0.0")
    );
    assert_eq!(of(RANGE.start, RANGE.end + 1), None);
    assert_eq!(of(0, 0xfff), None);
}

#[test]
fn the_class_of_old_kernels_has_its_driver_one_above() {
    let tree = Tree::new("class");
    namespace(&tree, "dax", "dax0.0");
    let holder = [
        ("namespace", "namespace0.0"),
        ("mode", "pmem"),
        ("align", "2097152"),
        ("driver", "dax_pmem_compat"),
    ];
    tree.device(NVDIMM, "ndbus0/region0/dax0.0", &holder);
    let dax = [("resource", "0x141200000"), ("size", "2128609280")];
    tree.device(DAX[1], "ndbus0/region0/dax0.0/dax/dax0.0", &dax);
    let expected = expected("dax0.0", "dax_pmem_compat", "devdax", Some(Map::Dev));
    assert_eq!(tree.names().devices(), [expected]);
}

#[test]
fn fsdax_sector_raw_and_disabled_namespaces() {
    for (mode, holder, word, map, driver, expected_device, says) in [
        (
            "memory",
            "pfn0.0",
            "ram",
            Some(Map::Mem),
            "nd_pmem",
            "pmem0",
            "fsdax",
        ),
        ("safe", "btt0.0", "", None, "nd_pmem", "pmem0", "sector"),
        (
            "memory",
            "pfn0.0",
            "pmem",
            Some(Map::Dev),
            "",
            "namespace0.0",
            "fsdax",
        ),
    ] {
        let tree = Tree::new(&format!("{mode}-{word}"));
        namespace(&tree, mode, holder);
        let holder = format!("ndbus0/region0/{holder}");
        tree.device(NVDIMM, &holder, &[("mode", word)]);
        if map.is_some() {
            tree.device("", &holder, &[("align", "2097152")]);
        }
        if !driver.is_empty() {
            let bound = [("driver", driver), ("block/pmem0/size", "4194304")];
            tree.device("", &holder, &bound);
        }
        let expected = expected(expected_device, driver, says, map);
        assert_eq!(tree.names().devices(), [expected]);
    }
    let tree = Tree::new("raw");
    namespace(&tree, "raw", "");
    let bound = [("driver", "nd_pmem"), ("block/pmem0/size", "4194304")];
    tree.device("", "ndbus0/region0/namespace0.0", &bound);
    assert_eq!(
        tree.names().devices(),
        [expected("pmem0", "nd_pmem", "raw", None)]
    );
}

#[test]
fn a_dax_device_of_no_namespace_has_its_mappings_in_order() {
    let tree = Tree::new("hmem");
    let mut files = vec![
        ("numa_node", "-1"),
        ("align", "1073741824"),
        ("driver", "device_dax"),
    ];
    files.extend([
        ("mapping10/start", "0x3000"),
        ("mapping10/end", "0x3fff"),
        ("mapping2/start", "0x1000"),
        ("mapping2/end", "0x1fff"),
    ]);
    tree.device("", "platform/hmem.0", &[("dax_region/id", "0")])
        .device(DAX[0], "platform/hmem.0/dax0.0", &files);
    // Of a CXL region, and given to the system.
    let cxl = "ACPI0017:00/root0/decoder0.0/region3/dax_region3";
    let system_ram = [
        ("driver", "kmem"),
        ("resource", "0x5000"),
        ("size", "4096"),
        ("numa_node", "2"),
    ];
    tree.device("", cxl, &[("dax_region/id", "3")]).device(
        DAX[0],
        &format!("{cxl}/dax3.0"),
        &system_ram,
    );
    let names = tree.names();
    let [hmem, cxl] = names.devices() else {
        panic!("two devices: {names:?}");
    };
    let ranges = [(0x1000, 0x1fff), (0x3000, 0x3fff)].map(|(start, end)| Range { start, end });
    assert_eq!(hmem.ranges, Ok(ranges.to_vec()));
    assert_eq!(
        (hmem.region.as_deref(), hmem.node, hmem.map),
        (Some("hmem.0"), None, Some(Map::Mem))
    );
    assert_eq!(
        (cxl.region.as_deref(), cxl.node, cxl.map, cxl.mode.as_str()),
        (Some("region3"), Some(2), None, "system-ram")
    );
}

#[test]
fn an_address_that_is_not_shown_is_a_reason() {
    let tree = Tree::new("hidden");
    let files = [
        ("driver", "device_dax"),
        ("resource", "0"),
        ("size", "4096"),
    ];
    tree.device(DAX[0], "platform/hmem.0/dax0.0", &files)
        .device(DAX[0], "platform/hmem.0/dax0.1", &files[..1]);
    let names = tree.names();
    let reasons: Vec<_> = names.devices().iter().map(|d| d.ranges.clone()).collect();
    let [Err(zero), Err(missing)] = &reasons[..] else {
        panic!("two reasons: {reasons:?}");
    };
    assert!(
        zero.contains("resource says 0") && zero.contains("root"),
        "{zero}"
    );
    assert!(
        missing.contains("cannot read") && missing.contains("root"),
        "{missing}"
    );
    let anywhere = Range { start: 0, end: 1 };
    assert_eq!(names.of(&anywhere), None);
    assert!(Tree::new("nothing").names().devices().is_empty());
}
