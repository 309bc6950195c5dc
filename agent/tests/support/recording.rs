//! A made-up session with one of everything.

use std::collections::BTreeMap;

use daxscope::{
    session::{
        by::{By, Value},
        recording::{About, Device, Point, Recording, State},
        tally::Tally,
    },
    text,
};
use daxscope_common::hist::fine;

/// What the groups of [`recording`] are told by.
pub const BY: [By; 11] = [
    By::Geometry,
    By::Entry,
    By::How,
    By::Device,
    By::Comm,
    By::Pid,
    By::Tgid,
    By::Caller,
    By::Kstack,
    By::Ustack,
    By::Errno,
];

pub fn about() -> About {
    let device = |name: &str, geometry: &str, map: &str| Device {
        name: name.into(),
        geometry: geometry.into(),
        bytes: 2 << 30,
        map: map.into(),
    };
    let point = |entry: &str, mechanism: Option<&str>, reason: &str| Point {
        family: "gup".into(),
        entry: entry.into(),
        symbol: entry.into(),
        mechanism: mechanism.map(Into::into),
        reason: reason.into(),
    };
    About {
        daxscope: "0.1.0 (0123456789ab)".into(),
        host: "pmem7".into(),
        kernel: "6.12.107+deb13-amd64".into(),
        machine: "x86_64".into(),
        cpus: 2,
        begun: 1_763_842_097_125,
        rooms: vec!["gup".into()],
        by: BY.to_vec(),
        filters: vec!["--min-latency 100ns".into()],
        command: vec![],
        points: vec![
            point("pin_user_pages_fast", Some("fentry"), ""),
            point("get_user_pages", Some("kprobe"), "fentry is refused"),
            point("pin_user_pages_locked", None, "not in this kernel"),
            point("get_user_pages_locked", None, "not in this kernel"),
        ],
        devices: vec![device("dax0.0", "2M", "mem"), device("pmem1", "4K", "dev")],
    }
}

/// A process that makes calls.
struct Who {
    comm: &'static [u8],
    pid: u64,
    tgid: u64,
    caller: &'static str,
    user: &'static [&'static str],
}

const POSTGRES: Who = Who {
    comm: b"postgres",
    pid: 4711,
    tgid: 4711,
    caller: "iov_iter_extract_user_pages+0x1a2",
    user: &["<wal::Writer>::flush", "wal_writer_main; loop", "main"],
};
/// A name with a control sequence, a byte that is no UTF-8, and what CSV and folded stacks have a meaning for.
const FOREIGN: Who = Who {
    comm: b"\x1b[2Ja,\"b\";\xff",
    pid: 815,
    tgid: 800,
    caller: "io_pin_pages+0x7a",
    user: &[],
};

fn key(geometry: &str, entry: &str, device: &str, who: &Who, errno: &str) -> Vec<Value> {
    let stack = |frames: &[&str]| Value::Stack(frames.iter().map(|&f| f.into()).collect());
    let text = |text: &str| Value::Text(text.into());
    let how = if entry.starts_with("pin") {
        "pin"
    } else {
        "get"
    };
    vec![
        text(geometry),
        text(entry),
        text(how),
        text(device),
        Value::Text(text::foreign(who.comm)),
        Value::Number(who.pid),
        Value::Number(who.tgid),
        text(who.caller),
        stack(&[entry, who.caller, "do_syscall_64+0x82"]),
        stack(who.user),
        text(errno),
    ]
}

/// Calls of some durations, each of some pages.
fn tally(durations: &[u64], pages: u64) -> Tally {
    let mut tally = Tally::default();
    for ns in durations {
        tally.calls += 1;
        tally.pages += pages;
        tally.ns += ns;
        tally.max_ns = tally.max_ns.max(*ns);
        *tally.slots.entry(fine::slot(*ns)).or_default() += 1;
    }
    tally
}

/// Of a group, all until each second: it pins more slowly while time passes.
fn until(second: u64, base: u64, pages: u64) -> Tally {
    let durations = (0..second * 40).map(|n| base + base * (n * n % 97) / 50 + base * n / 400);
    tally(&durations.collect::<Vec<_>>(), pages)
}

/// Ten seconds.
pub fn recording() -> Recording {
    let keys = vec![
        key("2M", "pin_user_pages_fast", "dax0.0", &POSTGRES, "ok"),
        key("4K", "pin_user_pages_fast", "pmem1", &POSTGRES, "ok"),
        key("2M", "get_user_pages", "dax0.0", &FOREIGN, "ok"),
        key("unknown", "get_user_pages", "unknown", &FOREIGN, "EFAULT"),
    ];
    let mut states = vec![];
    for second in 1..=10 {
        let mut changed = BTreeMap::from([
            (0, until(second, 12_000, 512)),
            (1, until(second, 310_000, 512)),
        ]);
        if second == 4 {
            let mut slow = tally(&[1_500_000, 200_000_000_000], 4096);
            // A call that had begun before.
            slow.calls += 1;
            slow.sampled = 1;
            changed.insert(2, slow);
        }
        if second == 7 {
            let mut failed = tally(&[700, 900], 0);
            failed.errors = 2;
            changed.insert(3, failed);
        }
        let lost = BTreeMap::from([("unmatched_return".to_owned(), 1)]);
        states.push(State {
            at: second * 1000 + 3,
            changed,
            lost: if second < 4 { BTreeMap::new() } else { lost },
        });
    }
    Recording {
        about: about(),
        keys,
        states,
    }
}

/// A session in which nobody called.
pub fn empty() -> Recording {
    Recording {
        about: about(),
        keys: vec![],
        states: vec![State {
            at: 1000,
            ..State::default()
        }],
    }
}
