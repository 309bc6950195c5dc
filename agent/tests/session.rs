//! What the views of a session show of a made-up one, held to the letter.

#[path = "support/recording.rs"]
mod made;
mod support;

use std::{fs, path::Path, time::Duration};

use daxscope::session::{
    by::{By, Value},
    diff::Diff,
    filters::{Filters, How},
    recording::Recording,
    table::Table,
    views::{csv, flame, folded, heat, hist, words::Words},
};
use support::golden;

fn table(by: &[By]) -> Table {
    Table::of(&made::recording(), by, &Filters::default()).expect("a table")
}

#[test]
fn words_are_golden() {
    for (file, by) in [
        ("session.txt", &[By::Geometry, By::Entry][..]),
        ("session-comm.txt", &[By::Comm, By::Errno]),
        ("session-stacks.txt", &[By::Device, By::Kstack, By::Ustack]),
        ("session-total.txt", &[]),
    ] {
        golden(file, &Words(&table(by)).to_string());
    }
    let empty = Table::of(&made::empty(), &[By::Comm], &Filters::default()).expect("a table");
    golden("session-empty.txt", &Words(&empty).to_string());
}

#[test]
fn json_is_golden() {
    let json = table(&[By::Comm, By::Tgid, By::Ustack]).json();
    let json = serde_json::to_string_pretty(&json.expect("JSON"));
    golden("session.json", &format!("{}\n", json.expect("JSON")));
}

/// The calls that filters let through, or why they cannot be told.
fn calls(recording: &Recording, filters: &Filters) -> Result<u64, String> {
    let table = Table::of(recording, &[], filters).map_err(|error| error.to_string())?;
    Ok(table.total.calls)
}

#[test]
fn filters_leave_what_fits_all_of_them() {
    let recording = made::recording();
    let none = Filters::default;
    let list = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    for (filters, expected) in [
        (none(), 805),
        (
            Filters {
                geometry: list(&["2M"]),
                ..none()
            },
            403,
        ),
        (
            Filters {
                geometry: list(&["2M", "4K"]),
                ..none()
            },
            803,
        ),
        (
            Filters {
                geometry: list(&["1G"]),
                ..none()
            },
            0,
        ),
        // The bytes, or as they are shown.
        (
            Filters {
                comm: list(&["\\x1b[2Ja,\"b\";\\xff"]),
                ..none()
            },
            5,
        ),
        (
            Filters {
                device: list(&["dax0.0", "unknown"]),
                ..none()
            },
            405,
        ),
        (
            Filters {
                pid: vec![815],
                ..none()
            },
            5,
        ),
        (
            Filters {
                pid: vec![800, 4711],
                ..none()
            },
            805,
        ),
        (
            Filters {
                how: vec![How::Get],
                comm: list(&["postgres"]),
                ..none()
            },
            0,
        ),
        (
            Filters {
                how: vec![How::Pin],
                device: list(&["pmem1"]),
                ..none()
            },
            400,
        ),
        // The session had it, and no less.
        (
            Filters {
                min_latency: Some(Duration::from_nanos(100)),
                ..none()
            },
            805,
        ),
    ] {
        assert_eq!(calls(&recording, &filters), Ok(expected), "{filters:?}");
    }
}

#[test]
fn what_was_not_recorded_is_an_error_with_its_remedy() {
    let mut recording = made::recording();
    let none = Filters::default;
    for (filters, words) in [
        (
            Filters {
                longterm: true,
                ..none()
            },
            "record with --by longterm",
        ),
        (
            Filters {
                cgroup: vec!["/a".into()],
                ..none()
            },
            "record with --by cgroup",
        ),
        (
            Filters {
                device: vec!["dax9.0".into()],
                ..none()
            },
            "it has dax0.0, pmem1",
        ),
        (
            Filters {
                min_pages: Some(2),
                ..none()
            },
            "--min-pages is for record",
        ),
        (
            Filters {
                min_latency: Some(Duration::from_nanos(101)),
                ..none()
            },
            "--min-latency is for record",
        ),
    ] {
        let error = calls(&recording, &filters).expect_err("not recorded");
        assert!(error.contains(words), "{error}");
    }
    let by = Table::of(&recording, &[By::Cgroup], &none()).expect_err("not recorded");
    assert!(by.to_string().contains("record with --by cgroup"), "{by}");

    // Threads cannot be told any more.
    let column = made::BY
        .iter()
        .position(|by| *by == By::Pid)
        .expect("recorded");
    recording.about.by.remove(column);
    for key in &mut recording.keys {
        key.remove(column);
    }
    let pid = |pid| {
        calls(
            &recording,
            &Filters {
                pid: vec![pid],
                ..none()
            },
        )
    };
    assert_eq!(pid(800), Ok(5));
    let error = pid(815).expect_err("no process");
    assert!(error.contains("record with --by tgid,pid"), "{error}");
}

#[test]
fn rows_for_other_programs_are_golden() {
    let table = table(&[By::Comm, By::Pid, By::Ustack, By::Errno]);
    golden("session.csv", &csv::csv(&table));
    golden("session.folded", &folded::folded(&table).expect("stacks"));
    let kernel = self::table(&[By::Kstack]);
    golden(
        "session-kernel.folded",
        &folded::folded(&kernel).expect("stacks"),
    );
    let none = folded::folded(&self::table(&[By::Comm])).expect_err("no stacks");
    assert!(none.to_string().contains("kstack"), "{none}");
}

#[test]
fn histograms_are_golden() {
    golden(
        "session-hist.txt",
        &hist::hists(&table(&[By::Geometry, By::Entry])),
    );
    golden("session-hist-total.txt", &hist::hists(&table(&[])));
}

#[test]
fn pictures_show_the_same_numbers() {
    let recording = made::recording();
    let flame = flame::svg(&table(&[By::Comm, By::Kstack, By::Ustack])).expect("a picture");
    let heat = heat::svg(&recording, &table(&[By::Geometry, By::Entry])).expect("a picture");
    for (name, picture) in [("flame", &flame), ("heat", &heat)] {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("session-{name}.svg"));
        fs::write(&file, picture).expect("written");
        assert!(!picture.contains('\x1b'), "{name}");
    }
    for words in [
        "postgres (800 calls, 99.38%)",
        "gup by comm, kstack, ustack",
        "&lt;wal::Writer&gt;::flush",
    ] {
        assert!(flame.contains(words), "{words}: {flame}");
    }
    for words in [
        "2M, pin_user_pages_fast: 400 calls, p50 29.7 µs, p99 42.9 µs",
        "Linux 6.12.107",
    ] {
        assert!(heat.contains(words), "{words}");
    }
    let empty = made::empty();
    let table = Table::of(&empty, &[By::Kstack], &Filters::default()).expect("a table");
    for none in [flame::svg(&table), heat::svg(&empty, &table)] {
        let error = none.expect_err("nothing to draw").to_string();
        assert!(error.contains("calls to draw"), "{error}");
    }
}

/// The made-up session on another day: on another kernel, when a namespace has 2M pages too, and pins of it are fast.
fn later() -> Recording {
    let mut later = made::recording();
    let about = &mut later.about;
    about.kernel = "7.3.1".into();
    about.devices[1].geometry = "2M".into();
    about.devices[1].map = "mem".into();
    about.devices.remove(0);
    about.points[1].mechanism = None;
    // The failed calls are gone, and those of 4K are of 2M now.
    later.keys.truncate(3);
    later.keys[1][0] = Value::Text("2M".into());
    for state in &mut later.states {
        state.lost.clear();
        state.changed.retain(|group, _| *group < 3);
        if let Some(fast) = state.changed.get(&0).cloned() {
            state.changed.insert(1, fast);
        }
    }
    later
}

#[test]
fn two_sessions_side_by_side_are_golden() {
    let (before, after) = (made::recording(), later());
    let of = |by: &[By]| Diff::of([&before, &after], by, &Filters::default()).expect("a diff");
    golden("diff.txt", &of(&[By::Geometry, By::Entry]).to_string());
    golden(
        "diff-stacks.txt",
        &of(&[By::Device, By::Kstack]).to_string(),
    );
    let device = of(&[By::Device]);
    golden("diff.csv", &device.csv());
    let json = serde_json::to_string_pretty(&device.json().expect("JSON"));
    golden("diff.json", &format!("{}\n", json.expect("JSON")));
}

#[test]
fn a_session_beside_itself_differs_in_nothing() {
    let same = made::recording();
    let diff = Diff::of([&same, &same], &[By::Comm], &Filters::default()).expect("a diff");
    assert_eq!(diff.differences, []);
    assert!(!diff.to_string().contains("DIFFERENT"), "{diff}");
    let json = diff.json().expect("JSON");
    assert_eq!(json["total"]["a"], json["total"]["b"]);
    assert_eq!(json["total"]["ratio"]["p99_ns"], 1.0);

    let mut other = made::recording();
    other.about.by[0] = By::Longterm;
    let diff = Diff::of([&same, &other], &[By::Geometry], &Filters::default());
    let error = format!("{:#}", diff.err().expect("one does not tell it"));
    assert!(
        error.starts_with("B: the recording does not tell calls by geometry"),
        "{error}"
    );
}

#[test]
fn a_filter_that_the_session_had_needs_no_column() {
    let mut recording = made::recording();
    let given = Filters {
        comm: vec!["a\x1b".into()],
        cgroup: vec!["/sys/fs/cgroup/a.slice/".into()],
        longterm: true,
        ..Filters::default()
    };
    recording.about.filters = given.words();
    assert_eq!(recording.about.filters[0], "--comm a\\x1b");
    let column = made::BY
        .iter()
        .position(|by| *by == By::Comm)
        .expect("recorded");
    recording.about.by[column] = By::Longterm;
    let shown = Filters {
        comm: vec!["a\\x1b".into(), "b".into()],
        cgroup: vec!["a.slice".into()],
        ..given
    };
    assert_eq!(calls(&recording, &shown), Ok(805));
    let other = Filters {
        comm: vec!["b".into()],
        ..Filters::default()
    };
    calls(&recording, &other).expect_err("it had others");
}
