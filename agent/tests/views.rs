//! What `list` and `advise` print of a made-up host, held to the letter. `UPDATE_EXPECT=1 cargo test` rewrites the golden
//! files.

mod support;

use std::collections::BTreeMap;

use daxscope::{
    advise,
    inventory::{
        Altmap, Backing, Inventory, Pagemap, Pins, Range, Source,
        account::{Formula, accounts},
        cost::{Rules, Why},
        names::{Device, Map, Names},
    },
    list,
};
use support::golden;

const GIB: u64 = 1 << 30;
const PAGE: u64 = 4096;
const PAGE_SHIFT: u32 = 12;
const RULES: Formula = Ok(Rules {
    struct_page: 64,
    geometries: true,
    deduplicates: true,
});

fn gib(start: u64, count: u64) -> Range {
    Range {
        start: start * GIB,
        end: (start + count) * GIB - 1,
    }
}

fn pages(ram: u64, device: u64, tables: u64, looked: u64) -> Backing {
    Backing {
        ram: BTreeMap::from([(1, ram * PAGE)]),
        device: device * PAGE,
        tables: tables * PAGE,
        pieces: 16,
        looked,
    }
}

fn pagemap(ranges: Vec<Range>, kind: &str, shift: u32) -> Pagemap {
    Pagemap {
        pgmap: 0xffff_8881_dead_beef,
        ranges,
        kind: kind.into(),
        kind_value: 4,
        shift: Ok(shift),
        altmap: None,
        backing: Err("no page tables".into()),
        pins: Ok(Pins {
            pages: 0,
            units: 1,
            looked: 1,
        }),
    }
}

fn nvdimm(device: &str, n: u64, mode: &str, map: Map, range: Range) -> Device {
    Device {
        device: device.into(),
        namespace: Some(format!("namespace{n}.0")),
        region: Some(format!("region{n}")),
        node: Some(1),
        driver: Some("device_dax".into()),
        mode: mode.into(),
        align: Some(2 << 20),
        map: Some(map),
        ranges: Ok(vec![range]),
    }
}

/// One of everything.
fn host() -> (Inventory, Names) {
    let ranges = vec![gib(64, 1), gib(66, 2)];
    let cxl = Device {
        namespace: None,
        region: Some("region4".into()),
        node: None,
        align: Some(GIB),
        ranges: Ok(ranges.clone()),
        ..nvdimm("dax4.0", 4, "devdax", Map::Mem, gib(0, 1))
    };
    let names = Names::new(vec![
        nvdimm("dax0.0", 0, "devdax", Map::Mem, gib(4, 2)),
        nvdimm("dax1.0", 1, "devdax", Map::Dev, gib(8, 2)),
        nvdimm("pmem2", 2, "fsdax", Map::Mem, gib(12, 2)),
        nvdimm("dax3.0", 3, "devdax", Map::Mem, gib(16, 2)),
        cxl,
    ]);
    let altmap = Altmap {
        base_pfn: 8 * GIB / PAGE,
        reserve: 2,
        free: 8702,
        alloc: Some(8192),
    };
    let pagemaps = vec![
        Pagemap {
            backing: Ok(pages(2048, 0, 16, 16)),
            pins: Ok(Pins {
                pages: 512,
                units: 1024,
                looked: 1024,
            }),
            ..pagemap(vec![gib(4, 2)], "generic", 9)
        },
        Pagemap {
            backing: Ok(pages(0, 8192, 0, 16)),
            altmap: Some(altmap),
            ..pagemap(vec![gib(8, 2)], "generic", 9)
        },
        Pagemap {
            backing: Ok(pages(8192, 0, 0, 4)),
            pins: Ok(Pins {
                pages: 7,
                units: 1024,
                looked: 256,
            }),
            ..pagemap(vec![gib(12, 2)], "fs_dax", 0)
        },
        // As if one tail page were shared by all compounds.
        Pagemap {
            backing: Ok(pages(1025, 0, 16, 16)),
            ..pagemap(vec![gib(16, 2)], "generic", 9)
        },
        pagemap(ranges, "generic", 18),
        Pagemap {
            shift: Err("BTF is hidden".into()),
            pins: Err("no struct pages".into()),
            ..pagemap(vec![gib(128, 1)], "private", 0)
        },
    ];
    let inventory = Inventory {
        source: Source::PgmapArray,
        pagemaps,
        skipped: vec![],
    };
    (inventory, names)
}

fn report<'a>(
    inventory: &'a Inventory,
    names: &'a Names,
    formula: &'a Formula,
) -> list::Report<'a> {
    list::Report {
        kernel: "6.12.0",
        page_shift: PAGE_SHIFT,
        inventory,
        formula,
        accounts: accounts(inventory, names, formula),
        memmap_pages: None,
    }
}

#[test]
fn list_is_golden() {
    let (inventory, names) = host();
    let report = report(&inventory, &names, &RULES);
    golden("list.txt", &report.to_string());
    let json = serde_json::to_string_pretty(&report.json()).expect("JSON");
    golden("list.json", &format!("{json}\n"));
    assert_eq!(report.status(), 3, "a geometry could not be told");
    for text in [json, report.to_string()] {
        let pointer = ["deadbeef", &0xffff_8881_dead_beef_u64.to_string()];
        assert!(pointer.iter().all(|pointer| !text.contains(pointer)));
    }
}

#[test]
fn all_told_is_0_and_an_empty_host_is_no_error() {
    let (mut inventory, names) = host();
    inventory.pagemaps.truncate(1);
    assert_eq!(report(&inventory, &names, &RULES).status(), 0);
    inventory.skipped.push("an entry that is none".into());
    assert_eq!(report(&inventory, &names, &RULES).status(), 3);
    inventory.pagemaps.clear();
    inventory.skipped.clear();
    let empty = report(&inventory, &names, &RULES);
    assert!(empty.to_string().starts_with("No pagemaps: "), "{empty}");
    assert_eq!(empty.status(), 0);
}

#[test]
fn what_is_not_known_has_its_reason() {
    let (mut inventory, names) = host();
    inventory.pagemaps.truncate(1);
    inventory.pagemaps[0].backing = Err("locked down".into());
    let reason = "no kallsyms".to_owned();
    inventory.source = Source::Sysfs { reason };
    let none = Err(Why::new("architecture", "no formula for this one"));
    let report = report(&inventory, &names, &none);
    let text = report.to_string();
    for reason in ["locked down", "no kallsyms", "no formula for this one"] {
        assert!(text.contains(reason), "{reason}: {text}");
    }
    assert_eq!(report.status(), 3);
    assert!(report.json()["pagemaps"][0]["used"].is_null());

    let (inventory, names) = host();
    let measured = self::report(&inventory, &names, &none).to_string();
    let words = "savings unknown: architecture: no formula for this one";
    assert!(measured.contains(words), "{measured}");
}

#[test]
fn the_kernels_count_is_compared_in_words() {
    let (mut inventory, names) = host();
    inventory.pagemaps.truncate(2);
    // In use: 2048 and 8192 pages; of base pages they would be 16384.
    for (kernel, words) in [
        (10240, "no difference"),
        (
            16384,
            "24.0 MiB too high, its counter does not know deduplication",
        ),
        (10496, "1.0 MiB more; RAM added"),
        (10239, "4.0 KiB less"),
    ] {
        let mut report = report(&inventory, &names, &RULES);
        report.memmap_pages = Some(kernel);
        let text = report.to_string();
        assert!(text.contains(words), "{words}: {text}");
        let count = &report.json()["kernel_counts"]["nr_memmap_pages"];
        assert_eq!(count["difference_pages"], kernel.cast_signed() - 10240);
    }
}

#[test]
fn advice_is_golden() {
    let (inventory, mut names) = host();
    let mut devices = names.devices().to_vec();
    devices.push(Device {
        driver: Some("kmem".into()),
        mode: "system-ram".into(),
        map: None,
        ..nvdimm("dax5.0", 5, "devdax", Map::Mem, gib(256, 1))
    });
    devices.push(Device {
        driver: None,
        ranges: Err("addresses are for root".into()),
        ..nvdimm("namespace6.0", 6, "fsdax", Map::Mem, gib(0, 1))
    });
    names = Names::new(devices);
    let advice = advise::all(&names, &inventory, &RULES);
    golden("advise.txt", &advise::Words(&advice).to_string());
    let json = serde_json::to_string_pretty(&advise::json(&advice)).expect("JSON");
    golden("advise.json", &format!("{json}\n"));
    assert!(advise::Words(&[]).to_string().starts_with("No devices"));
}

#[test]
fn a_kernel_that_deduplicates_nothing_offers_no_savings_in_ram() {
    let old: Formula = Ok(Rules {
        struct_page: 64,
        geometries: false,
        deduplicates: false,
    });
    let (inventory, names) = host();
    let advice = advise::all(&names, &inventory, &old);
    let options = advice[0].options.as_ref().expect("advice");
    let mut in_ram = options.iter().filter(|option| option.layout.in_ram());
    assert!(in_ram.all(|option| {
        option
            .outcome
            .as_ref()
            .is_ok_and(|o| o.cost.ram == 32 << 20)
    }));
}
