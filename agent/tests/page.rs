//! The page for people: what it says of hosts that are made up.

use std::time::{Duration, Instant};

use daxscope::{
    load::Verdict,
    page::{self, History, Shown},
    probes,
    serve::source::Readiness,
    snapshot::{Kind, Metric, Sample, Snapshot, Value},
};
use daxscope_common::hist::{self, Hist};

/// Every metric, with a value above 0 and with labels of that text.
fn snapshot(label: &str) -> Snapshot {
    let sample = |metric: &'static Metric| Sample {
        metric,
        labels: metric.labels.iter().map(|_| label.to_owned()).collect(),
        value: match metric.kind {
            Kind::Histogram(_) => {
                let mut durations = Hist::ZERO;
                durations.slots[hist::slot(5000)] = 3;
                Value::Durations(Box::new(durations))
            }
            _ => Value::Count(3),
        },
    };
    Snapshot {
        samples: probes::metrics().map(sample).collect(),
    }
}

fn document(snapshot: &Snapshot, verdicts: &[Verdict], readiness: &Readiness) -> String {
    let mut history = History::default();
    let (at, empty) = (Instant::now(), Snapshot::default());
    history.record(at, &empty);
    let shown = Shown {
        snapshot,
        at: at + Duration::from_secs(5),
        verdicts,
        readiness,
        history: &history,
    };
    page::document(&shown)
}

#[test]
fn nothing_foreign_is_markup() {
    let bytes: Vec<u8> = (0..=255).collect();
    let every_byte = String::from_utf8_lossy(&bytes);
    let foreign = format!("\"'><script>alert(1)</script><!--{every_byte}");
    let verdicts: Vec<Verdict> = probes::points()
        .map(|(family, point)| Verdict {
            family: family.name,
            point: point.name,
            number: point.number,
            symbol: point.symbols[0],
            mechanism: None,
            required: true,
            reason: foreign.clone(),
            remedy: Some("<script>"),
        })
        .collect();
    let readiness = Readiness {
        reasons: vec![foreign.clone()],
        layers: vec![
            ("seccomp", Err(foreign.clone())),
            ("landlock", Ok(foreign.clone())),
        ],
        self_test: Some(Err(foreign.clone())),
        losses: vec![foreign.clone()],
    };
    let html = document(&snapshot(&foreign), &verdicts, &readiness);
    // The page's own: one script element, by its path.
    assert_eq!(html.matches("<script").count(), 1, "{html}");
    assert_eq!(html.matches("<!--").count(), 0);
    assert!(html.matches("&lt;script&gt;alert(1)").count() > 20);
    let control = |char: char| char.is_control() && char != '\n';
    assert!(!html.contains(control), "a control character");
}

#[test]
fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
    let html = document(&snapshot("4K"), &[], &Readiness::default());
    for forbidden in [
        "style=",
        "<style",
        "javascript:",
        "http:",
        "https:",
        "onclick",
        "onload",
    ] {
        assert!(!html.contains(forbidden), "{forbidden} in {html}");
    }
    let links = html
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let sources = html
        .split("src=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    for link in links.chain(sources).filter(|link| !link.starts_with('#')) {
        let path = format!("/{}", link.split('?').next().unwrap_or_default());
        assert!(page::asset(&path).is_some(), "{link}");
    }
}

#[test]
fn a_host_without_anything_has_a_page() {
    let html = document(&Snapshot::default(), &[], &Readiness::default());
    for words in ["No pagemaps", "None since the start", "Nothing was lost"] {
        assert!(html.contains(words), "{words}: {html}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let readiness = Readiness {
        reasons: vec!["the self-test failed".into()],
        layers: vec![("landlock", Err("this kernel has none".into()))],
        self_test: Some(Err("0 of 16 pages were counted".into())),
        losses: vec!["7 start (lost_total)".into()],
    };
    let html = document(&Snapshot::default(), &[], &readiness);
    for words in [
        "Not ready",
        "the self-test failed",
        "this kernel has none",
        "0 of 16 pages",
        "7 start",
    ] {
        assert!(html.contains(words), "{words}: {html}");
    }
}

#[test]
fn other_paths_are_not_its_own() {
    for path in [
        "",
        "/index.html",
        "/style.css/",
        "/../style.css",
        "/metrics",
    ] {
        assert!(page::asset(path).is_none(), "{path}");
    }
}
