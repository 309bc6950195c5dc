//! What `events` prints of a call, held to the letter. `UPDATE_EXPECT=1 cargo test` rewrites the golden files.

mod support;

use daxscope::{
    session::event::{self, Event, Part},
    text,
};
use support::golden;

fn part(geometry: &str, device: &str, pages: u64) -> Part {
    Part {
        geometry: geometry.into(),
        device: device.into(),
        pages,
    }
}

/// A pin of a region of 2M pages.
fn pin() -> Event {
    Event {
        at: 1_795_378_097_123_456_789,
        cpu: 3,
        comm: "fio".into(),
        pid: 4712,
        tgid: 4711,
        cgroup: "/system.slice/fio.service".into(),
        entry: "pin_user_pages_fast",
        how: "pin",
        longterm: true,
        address: Some(0x7f12_3456_7000),
        asked: Some(512),
        pages: 512,
        errno: "ok".into(),
        parts: vec![part("2M", "dax0.0", 512)],
        sampled: false,
        ns: Some(18_345),
        caller: "io_pin_pages+0x7a".into(),
        stack: vec![],
    }
}

/// One of everything.
fn calls() -> Vec<Event> {
    let several = Event {
        entry: "get_user_pages_unlocked",
        how: "get",
        longterm: false,
        pages: 40,
        parts: vec![part("2M", "dax0.0", 8), part("4K", "pmem1", 32)],
        sampled: true,
        ..pin()
    };
    let failed = Event {
        comm: text::foreign(b"\x1b[2Jx\xff\n"),
        cgroup: text::foreign(b"/a\nb"),
        pages: 0,
        errno: "EFAULT".into(),
        parts: vec![part("unknown", "unknown", 0)],
        ns: None,
        caller: "[unknown]".into(),
        ..pin()
    };
    let region = Event {
        comm: "ndctl".into(),
        entry: "memmap_init_zone_device",
        how: "-",
        longterm: false,
        address: None,
        asked: None,
        pages: 1 << 20,
        parts: vec![part("2M", "dax0.0", 1 << 20)],
        ns: Some(2_345_678_901),
        caller: "memremap_pages+0x3a1".into(),
        stack: [
            "memremap_pages+0x3a1",
            "devm_memremap_pages+0x20",
            "[unknown]",
        ]
        .map(str::to_owned)
        .into(),
        ..pin()
    };
    vec![pin(), several, failed, region]
}

#[test]
fn lines_for_people_are_golden() {
    let lines: Vec<_> = calls().iter().map(ToString::to_string).collect();
    golden(
        "events.txt",
        &format!("{}\n{}\n", event::header(), lines.join("\n")),
    );
}

#[test]
fn lines_of_json_are_golden() {
    let json = |event| serde_json::to_string(&event).expect("JSON");
    let lines: Vec<_> = calls().into_iter().map(json).collect();
    golden("events.json", &format!("{}\n", lines.join("\n")));
}

#[test]
fn nothing_that_others_chose_opens_a_line() {
    for event in calls() {
        let text = event.to_string();
        assert_eq!(text.lines().count(), 1 + event.stack.len(), "{text}");
        let json = serde_json::to_string(&event).expect("JSON");
        assert!(json.is_ascii() && json.lines().count() == 1, "{json}");
    }
}
