//! The exposition, held to the letter. `UPDATE_EXPECT=1 cargo test` rewrites the golden file.

use daxscope::{
    metrics, probes,
    snapshot::{Kind, Metric, Sample, Snapshot, Value},
};
use daxscope_common::hist::{self, Hist};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/metrics.txt");

/// One series for each metric, labels named after themselves; values on both sides of a seam of the histogram.
fn snapshot() -> Snapshot {
    let sample = |(index, metric): (usize, &'static Metric)| {
        let mut durations = Hist::ZERO;
        for ns in [
            0,
            128,
            129,
            1 << 20,
            (1 << 20) + 1,
            hist::MAX,
            hist::MAX + 1,
        ] {
            durations.slots[hist::slot(ns)] += 1;
            durations.sum += ns;
        }
        Sample {
            metric,
            labels: metric
                .labels
                .iter()
                .map(|label| format!("a {label}: \"\\\n"))
                .collect(),
            value: match metric.kind {
                Kind::Histogram(_) => Value::Durations(Box::new(durations)),
                _ if ["scrape_duration_seconds", "program_run_seconds_total"]
                    .contains(&metric.name) =>
                {
                    Value::Real(0.25)
                }
                _ => Value::Count(index as u64),
            },
        }
    };
    Snapshot {
        samples: probes::metrics().enumerate().map(sample).collect(),
    }
}

#[test]
fn exposition_is_golden() {
    let text = metrics::encode(probes::metrics(), snapshot()).expect("encodes");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(GOLDEN, &text).expect("writes the golden file");
    }
    let golden = std::fs::read_to_string(GOLDEN).expect("reads the golden file");
    assert!(
        text == golden,
        "the exposition changed; if that is meant, UPDATE_EXPECT=1 rewrites {GOLDEN}:\n{text}"
    );
}

#[test]
fn names_and_help_keep_the_conventions() {
    let mut names = std::collections::BTreeSet::new();
    for metric in probes::metrics() {
        let name = metric.name;
        assert!(names.insert(name), "{name} is there twice");
        assert!(metric.help.contains(" Source: "), "{name} names no source");
        assert!(metric.help.ends_with(['.', ')']), "{name}: {}", metric.help);
        match metric.kind {
            Kind::Counter => assert!(name.ends_with("_total"), "{name} is a counter"),
            Kind::Histogram(_) => {
                assert!(name.ends_with("_seconds"), "{name} is a histogram");
                assert!(metric.help.contains("in seconds"), "{name} names no unit");
            }
            Kind::Gauge => assert!(!name.ends_with("_total"), "{name} is a gauge"),
        }
    }
}

/// Dashboards and alerts are written against these.
#[test]
fn labels_are_those_promised() {
    let promised = [
        ("build_info", "version revision"),
        ("probe_attached", "family probe symbol mechanism reason"),
        ("pagemaps", "geometry type"),
        ("struct_pages", "geometry type"),
        ("memremap_calls_total", "geometry result"),
        ("memremap_duration_seconds", "geometry"),
        ("memmap_init_duration_seconds", "geometry"),
        ("memmap_init_struct_pages_total", "geometry"),
        ("vmemmap_populate_duration_seconds", "geometry point"),
        ("vmemmap_populate_struct_pages_total", "geometry point"),
        ("gup_calls_total", "how entry geometry"),
        ("gup_pages_total", "how entry geometry"),
        ("gup_sampled_calls_total", "geometry"),
        ("gup_longterm_calls_total", "geometry"),
        ("gup_longterm_pages_total", "geometry"),
        ("gup_duration_seconds", "how geometry"),
        ("gup_errors_total", "how errno"),
        ("unpinned_pages_total", "geometry"),
    ];
    for (name, labels) in promised {
        let metric = probes::metrics().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(metric.labels.join(" "), labels, "{name}");
    }
}
