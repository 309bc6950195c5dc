//! What `holders` prints of a made-up host, held to the letter, and what a daemon's answer is read back as.
//! `UPDATE_EXPECT=1 cargo test` rewrites the golden files.

mod support;

use std::path::Path;

use daxscope::{
    holders::{
        Device, GONE, Held, Pinned, Report,
        mounts::Mount,
        users::{User, Users},
    },
    inventory::{
        Inventory, Pagemap, Pins, Range, Source, account::accounts, cost::Why, names::Names,
    },
};
use support::golden;

fn held(process: &str, pid: u32, pages: u64) -> Held {
    Held {
        process: process.into(),
        pid,
        alive: Some(true),
        entry: "pin fast".into(),
        caller: "io_pin_pages+0x7a".into(),
        stack: vec![
            "pin_user_pages_fast+0x4c".into(),
            "io_pin_pages+0x7a".into(),
        ],
        pages,
        age: 4000.25,
    }
}

fn device(device: &str, pages: u64, before: u64, holds: Vec<Held>) -> Device {
    let at_least = false;
    Device {
        device: device.into(),
        namespace: None,
        pinned: Ok(Pinned { pages, at_least }),
        before,
        holds,
    }
}

/// One of everything, as a daemon tells it.
fn told() -> Report {
    let exited = Held {
        alive: Some(false),
        caller: "ib_umem_get+0x1b3 [ib_uverbs]".into(),
        entry: "pin slow".into(),
        age: 12.0,
        ..held("a\\x1b[2Jb", 4_194_304, 7)
    };
    let unknown = Held {
        alive: None,
        caller: "[unknown]".into(),
        stack: vec![],
        ..held("qemu", 99, 1)
    };
    let named = Device {
        namespace: Some("namespace0.0".into()),
        ..device(
            "dax0.0",
            600,
            80,
            vec![held("postgres", 71, 512), exited, unknown],
        )
    };
    let unreadable = Device {
        pinned: Err("no page tables".into()),
        ..device("private#0", 0, 0, vec![])
    };
    Report {
        watched: Ok(()),
        page_bytes: 4096,
        symbols_unknown: None,
        devices: vec![
            named,
            device("dax1.0", 0, 0, vec![]),
            device("pmem2", 0, 0, vec![]),
            device("pmem3", 1, 0, vec![held("fio", 5, 1)]),
            unreadable,
            device(GONE, 3, 0, vec![held("lost", 6, 3)]),
        ],
        skipped: vec!["an entry that is none".into()],
        users: None,
    }
}

fn users() -> Users {
    let user = |process: &str, pid, mapped, open| User {
        device: "dax0.0".into(),
        process: process.into(),
        pid,
        mapped,
        open,
    };
    let mount = |path: &str, pid| Mount {
        device: "pmem2".into(),
        path: path.into(),
        kind: "xfs".into(),
        pid,
    };
    Users {
        of: vec!["dax0.0".into(), "private#0".into()],
        processes: vec![user("postgres", 71, 2 << 30, 1), user("sh", 70, 0, 2)],
        mounts: vec![mount("/mnt/a b", None), mount("/data", Some(1234))],
        unseen: 3,
    }
}

#[test]
fn what_a_daemon_tells_is_golden() {
    let mut report = told();
    report.users = Some(users());
    golden("holders.txt", &report.to_string());
    let json = serde_json::to_string_pretty(&report.json()).expect("JSON");
    golden("holders.json", &format!("{json}\n"));
    assert_eq!(report.status(), 3, "80 pages are of nobody knows whom");
}

#[test]
fn an_answer_is_read_back_as_it_was_told() {
    let told = told();
    let text = told.json().to_string();
    let read = |text: &str| {
        serde_json::from_str(text)
            .ok()
            .and_then(|told| Report::from_json(&told))
    };
    assert_eq!(read(&text), Some(told));
    for cut in 0..text.len() {
        assert_eq!(read(&text[..cut]), None, "{cut}");
    }
    for (part, other) in [
        ("\"tracked\":true", "\"tracked\":false"),
        ("\"pid\":71", "\"pid\":-71"),
        ("\"holds\"", "\"hold\""),
        (
            "\"pinned_unknown\":\"no page tables\"",
            "\"pinned_unknown\":null",
        ),
    ] {
        let changed = text.replacen(part, other, 1);
        assert_ne!(changed, text, "{part}");
        assert_eq!(read(&changed), None, "{part}");
    }
}

#[test]
fn all_told_is_0() {
    let mut report = told();
    report.devices = vec![device("pmem3", 1, 0, vec![held("fio", 5, 1)])];
    report.skipped.clear();
    assert_eq!(report.status(), 0);
    // Nobody has to be looked for.
    report.search(Path::new("/nowhere"), Path::new("/nowhere"), false);
    assert_eq!(report.users, None);
    report.symbols_unknown = Some("hidden".into());
    assert_eq!(report.status(), 3);
    report.symbols_unknown = None;
    report.devices[0].pinned = Ok(Pinned {
        pages: 3,
        at_least: false,
    });
    assert_eq!((report.devices[0].unnoted(), report.status()), (2, 3));
    // Figures of two moments: what was given back in between is no pin of nobody.
    report.devices[0].pinned = Ok(Pinned {
        pages: 0,
        at_least: false,
    });
    assert_eq!((report.devices[0].unnoted(), report.status()), (0, 0));
}

/// As the inventory has them: two devices looked at in part, one without pins between.
fn unwatched() -> Report {
    let pagemap = |start: u64, pages, looked| Pagemap {
        pgmap: 0xffff_8881_dead_beef,
        ranges: vec![Range {
            start: start << 30,
            end: (start << 30) + (1 << 30) - 1,
        }],
        kind: "generic".into(),
        kind_value: 4,
        shift: Ok(9),
        altmap: None,
        backing: Err("not asked".into()),
        pins: Ok(Pins {
            pages,
            units: 512,
            looked,
        }),
    };
    let inventory = Inventory {
        source: Source::PgmapArray,
        pagemaps: vec![pagemap(4, 512, 100), pagemap(8, 0, 512), pagemap(12, 0, 1)],
        skipped: vec![],
    };
    let formula = Err(Why::new("architecture", "not asked"));
    let names = Names::new(vec![]);
    let accounts = accounts(&inventory, &names, &formula);
    let reason = "no daemon listens on 127.0.0.1:9954".into();
    Report::unwatched(reason, 4096, &inventory, &accounts)
}

#[test]
fn without_a_daemon_pins_are_counted_and_nobody_is_accused() {
    let mut report = unwatched();
    let mut found = users();
    found.mounts.clear();
    found.of = vec!["generic#0".into(), "generic#2".into()];
    for user in &mut found.processes {
        user.device = "generic#0".into();
    }
    report.users = Some(found);
    golden("holders-unwatched.txt", &report.to_string());
    assert_eq!(report.status(), 3);
    let json = report.json();
    assert_eq!(json["tracked"], false);
    assert_eq!(json["devices"][0]["pinned_pages"], 512);
    assert_eq!(json["devices"][0]["pinned_at_least"], true);
    let pointers = ["deadbeef", &0xffff_8881_dead_beef_u64.to_string()];
    for text in [json.to_string(), report.to_string()] {
        assert!(pointers.iter().all(|pointer| !text.contains(pointer)));
    }
}

#[test]
fn a_device_is_chosen_by_any_of_its_names_and_a_wrong_one_is_named() {
    for name in ["dax0.0", "/dev/dax0.0", "namespace0.0"] {
        let mut report = told();
        report.only(name).expect("it is there");
        assert_eq!(report.devices.len(), 1);
    }
    let error = told().only("dax9.9").expect_err("it is not").to_string();
    assert!(
        error.contains("dax9.9") && error.contains("dax0.0 dax1.0 pmem2"),
        "{error}"
    );
    let mut empty = told();
    empty.devices.clear();
    let error = empty.only("dax9.9").expect_err("nothing is").to_string();
    assert!(error.ends_with("no device has"), "{error}");
    assert!(empty.to_string().contains("No pagemaps"), "{empty}");
}
