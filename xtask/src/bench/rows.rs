//! The rows of the report: what is promised, and beside whom it is shown.

use super::reading::Amount;
use super::record::Figures;

/// A row of the table of one kernel.
pub struct Line {
    pub what: String,
    pub target: String,
    pub unit: Unit,
    pub floor: Cell,
    pub ours: Cell,
    pub verdict: &'static str,
    /// In the order of [`PEERS`].
    pub peers: [Cell; PEERS.len()],
}

/// Empty, a figure, or why there is none.
pub type Cell = Option<Result<Amount, String>>;

/// Columns of other tools.
pub const PEERS: [&str; 3] = ["bpftrace, histogram", "perf stat", "funclatency"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Instructions,
    Millions,
    Bytes,
    Percent,
    Times,
    Count,
}

/// One-page calls: rows of readings with their words.
const CALLS: [(&str, &str); 4] = [
    ("get", "get, base page"),
    ("pin", "pin, base page"),
    ("get-device", "get, page of a 2M device"),
    ("pin-device", "pin, page of a 2M device"),
];

/// What a mode of watching promises for each of them.
struct Mode {
    who: &'static str,
    words: &'static str,
    /// The most that is promised, then what was aimed at first.
    target: f64,
    first: Option<f64>,
    floor: &'static str,
    peers: [Option<&'static str>; PEERS.len()],
}

const MODES: [Mode; 3] = [
    Mode {
        who: "daxscope/fentry",
        words: "everything on, fentry",
        target: 600.0,
        first: Some(900.0),
        floor: "floor/fentry",
        peers: [Some("bpftrace/fentry"), None, Some("funclatency")],
    },
    Mode {
        who: "daxscope/kprobe",
        words: "everything on, kprobe",
        target: 1900.0,
        first: None,
        floor: "floor/kprobe",
        peers: [Some("bpftrace/kprobe"), Some("perf/kprobe"), None],
    },
    Mode {
        who: "daxscope/no-latency",
        words: "`--no-latency`",
        target: 450.0,
        first: None,
        floor: "floor/fexit",
        peers: [None, None, None],
    },
];

const FENTRY: &str = "daxscope/fentry";
const OURS: &str = "daxscope";
const BPFTRACE: &str = "bpftrace";

/// All rows of one kernel.
pub fn of(figures: &Figures) -> Vec<Line> {
    let parts = [added(figures), compared(figures), daemon(figures)];
    parts.into_iter().flatten().collect()
}

/// What calls cost more than with nobody there.
fn added(figures: &Figures) -> Vec<Line> {
    let at = |row, who| figures.find(row, who).cloned();
    let mut lines = Vec::new();
    for mode in &MODES {
        for (row, words) in CALLS {
            lines.push(mode.line(figures, row, words));
        }
    }
    let unpin = at("unpin", FENTRY);
    lines.push(Line {
        floor: at("unpin", "floor/fentry"),
        ..simple(
            "unpin, base page: everything on, fentry",
            unpin,
            250.0,
            Unit::Instructions,
        )
    });
    for option in ["track-holders", "self-cost"] {
        for (row, words) in [CALLS[0], CALLS[3]] {
            let who = format!("daxscope/{option}");
            let ours = figures.find(row, &who).cloned();
            lines.push(untold(&format!("{words}: fentry, `--{option}`"), ours));
        }
    }
    lines
}

/// One figure of ours as so many times another.
fn compared(figures: &Figures) -> Vec<Line> {
    let rows = [
        (
            "pin-512",
            "pin-huge",
            1.5,
            "pin 512 pages of a 2M folio by io_uring (an unpin is in it from 6.3 on), against one page",
        ),
        (
            "pair-512",
            "pair-huge",
            1.5,
            "pin and unpin 512 pages of a 2M folio by process_vm_readv, against one page",
        ),
        (
            "unpin-512",
            "unpin-huge",
            1.5,
            "unpin 512 pages of a 2M folio, against one page",
        ),
        (
            "cpus-2",
            "cpus-1",
            1.1,
            "get, 2 CPUs at once, against one CPU",
        ),
        (
            "cpus-4",
            "cpus-1",
            1.1,
            "get, 4 CPUs at once, against one CPU",
        ),
    ];
    let each = rows.into_iter().map(|(row, against, target, words)| {
        let at = |row| figures.find(row, FENTRY).cloned();
        simple(words, ratio(at(row), at(against)), target, Unit::Times)
    });
    each.collect()
}

/// What the agent takes itself.
fn daemon(figures: &Figures) -> Vec<Line> {
    let at = |row, who| figures.find(row, who).cloned();
    let own = |row, target, unit, words| simple(words, at(row, OURS), target, unit);
    let growth = ratio(at("resident-after", OURS), at("resident-first", OURS));
    vec![
        own(
            "memremap",
            0.1,
            Unit::Percent,
            "`memremap_pages` of 1 GiB, share of its own time",
        ),
        own("scrape", 5e6, Unit::Millions, "scrape, 16 devices: CPU"),
        own(
            "scrape-bytes",
            120e3,
            Unit::Bytes,
            "scrape, 16 devices: size",
        ),
        untold("scrape, 16 devices: series", at("scrape-series", OURS)),
        Line {
            peers: [at("resident", BPFTRACE), None, None],
            ..own("resident", 12e6, Unit::Bytes, "resident memory, idle")
        },
        own(
            "resident-after",
            12e6,
            Unit::Bytes,
            "resident memory, after the scrapes",
        ),
        simple(
            "the same, against that after the first 24",
            growth,
            1.02,
            Unit::Times,
        ),
        start(at("start", OURS), at("start", BPFTRACE)),
        own("binary", 8e6, Unit::Bytes, "binary, stripped"),
        own(
            "wakeups",
            0.0,
            Unit::Count,
            "wake-ups in 30 s with no scrape",
        ),
    ]
}

impl Mode {
    fn line(&self, figures: &Figures, row: &str, words: &str) -> Line {
        let at = |row: &str, who: &str| figures.find(row, who).cloned();
        // Others are measured on base pages: what they do does not depend on the page.
        let base = row.trim_end_matches("-device");
        let own = row == base;
        let target = match self.first {
            Some(first) => format!("≤ {}, then ≤ {}", number(first), number(self.target)),
            None => format!("≤ {}", number(self.target)),
        };
        let ours = at(row, self.who);
        let verdict = match value(&ours) {
            Some(value) if value <= self.target => "met",
            Some(value) if self.first.is_some_and(|first| value <= first) => "first met",
            Some(_) => "**missed**",
            None => "–",
        };
        Line {
            what: format!("{words}: {}", self.words),
            target,
            unit: Unit::Instructions,
            floor: own.then(|| at(base, self.floor)).flatten(),
            ours,
            verdict,
            peers: self
                .peers
                .map(|who| if own { at(base, who?) } else { None }),
        }
    }
}

fn simple(what: &str, ours: Cell, target: f64, unit: Unit) -> Line {
    let verdict = match value(&ours) {
        Some(value) if value <= target => "met",
        Some(_) => "**missed**",
        None => "–",
    };
    Line {
        what: what.to_owned(),
        target: format!("≤ {}", unit.show(target)),
        unit,
        floor: None,
        ours,
        verdict,
        peers: [None, None, None],
    }
}

fn untold(what: &str, ours: Cell) -> Line {
    Line {
        target: String::new(),
        verdict: "",
        ..simple(what, ours, f64::INFINITY, Unit::Count)
    }
}

fn start(ours: Cell, theirs: Cell) -> Line {
    let limit = value(&theirs).map(|theirs| theirs / 5.0);
    let verdict = match (value(&ours), limit) {
        (Some(ours), Some(limit)) if ours <= limit => "met",
        (Some(_), Some(_)) => "**missed**",
        _ => "–",
    };
    Line {
        target: "≤ 1/5 of bpftrace".to_owned(),
        verdict,
        peers: [theirs, None, None],
        ..simple(
            "start to all attached, CPU",
            ours,
            f64::INFINITY,
            Unit::Millions,
        )
    }
}

fn value(cell: &Cell) -> Option<f64> {
    cell.as_ref()?.as_ref().ok().map(|amount| amount.value)
}

fn ratio(above: Cell, below: Cell) -> Cell {
    Some(match (above?, below?) {
        (Ok(above), Ok(below)) if below.value > 0.0 => Ok(Amount::once(above.value / below.value)),
        (Ok(_), Ok(_)) => Err("nothing to compare with".to_owned()),
        (Err(reason), _) | (_, Err(reason)) => Err(reason),
    })
}

impl Unit {
    pub fn show(self, value: f64) -> String {
        match self {
            Unit::Instructions | Unit::Count => number(value),
            Unit::Millions if value >= 1e8 => format!("{} M", number(value / 1e6)),
            Unit::Millions => format!("{:.2} M", value / 1e6),
            Unit::Bytes if value >= 1e6 => format!("{:.1} MB", value / 1e6),
            Unit::Bytes => format!("{:.1} KB", value / 1e3),
            Unit::Percent => format!("{value:.3} %"),
            Unit::Times => format!("{value:.2} ×"),
        }
    }
}

/// `2,304`
pub fn number(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value <= -0.5 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::reading::Reading;

    fn figures(readings: &[(&str, &str, f64)]) -> Figures {
        let each = readings
            .iter()
            .map(|(row, who, value)| Reading::new(*row, *who, Ok(Amount::once(*value))));
        Figures {
            suite: "trixie".into(),
            release: "6.12".into(),
            readings: each.collect(),
        }
    }

    fn verdict(figures: &Figures, what: &str) -> &'static str {
        let lines = of(figures);
        let line = lines
            .iter()
            .find(|line| line.what.contains(what))
            .expect("such a row");
        line.verdict
    }

    #[test]
    fn verdicts_are_by_the_target() {
        let all = "get, base page: everything on, fentry";
        for (value, word) in [(600.0, "met"), (601.0, "first met"), (901.0, "**missed**")] {
            assert_eq!(verdict(&figures(&[("get", FENTRY, value)]), all), word);
        }
        let both = |ours| figures(&[("start", OURS, ours), ("start", BPFTRACE, 100.0)]);
        assert_eq!(verdict(&both(20.0), "start"), "met");
        assert_eq!(verdict(&both(21.0), "start"), "**missed**");
        let ratio = |many| figures(&[("pin-512", FENTRY, many), ("pin-huge", FENTRY, 100.0)]);
        assert_eq!(verdict(&ratio(150.0), "pin 512"), "met");
        assert_eq!(verdict(&ratio(151.0), "pin 512"), "**missed**");
        assert_eq!(verdict(&figures(&[]), all), "–");
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(
            [0.4, 999.6, 1_234_567.0, -5.0].map(number),
            ["0", "1,000", "1,234,567", "-5"]
        );
        assert_eq!(Unit::Bytes.show(12e6), "12.0 MB");
    }
}
