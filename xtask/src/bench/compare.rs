//! Figures of now beside the committed ones: what moved, and whether that may be.

use super::reading::Reading;
use super::record::{Figures, Record};
use crate::verdict::{Check, Outcome};

/// What an instruction count may grow by unless the committed figure is changed with it; a share.
const MAY_GROW: f64 = 0.05;
/// Counts below this differ by the luck of where things lie in memory; instructions.
const NOISE: f64 = 12.0;

/// Rows whose figures are instructions that we add to a call: those that the gate judges.
const JUDGED: [&str; 12] = [
    "get",
    "get-device",
    "pin",
    "pin-device",
    "unpin",
    "pin-huge",
    "pin-512",
    "unpin-huge",
    "unpin-512",
    "pair",
    "pair-huge",
    "pair-512",
];

/// One check for each way of the agent: all its rows, those that grew named.
pub fn judge(committed: Option<&Record>, now: &Figures) -> Vec<Check> {
    let mut ways: Vec<&str> = now
        .readings
        .iter()
        .map(|reading| reading.who.as_str())
        .collect();
    ways.retain(|who| who.starts_with("daxscope/"));
    ways.dedup();
    ways.sort_unstable();
    ways.dedup();
    let before = committed.and_then(|record| record.kernel(&now.suite));
    ways.into_iter()
        .map(|way| judge_way(before, now, way))
        .collect()
}

fn judge_way(before: Option<&Figures>, now: &Figures, way: &str) -> Check {
    let name = way.trim_start_matches("daxscope/");
    let Some(before) = before else {
        let why = format!(
            "no committed figures for {}: `cargo xtask bench --write`",
            now.suite
        );
        return Check::new("cost", name, Outcome::Skip, why);
    };
    let rows: Vec<Moved> = JUDGED
        .iter()
        .filter_map(|row| moved(before, now, row, way))
        .collect();
    let bad: Vec<String> = rows
        .iter()
        .filter(|row| row.bad())
        .map(Moved::text)
        .collect();
    let told: Vec<String> = rows.iter().map(Moved::text).collect();
    if bad.is_empty() {
        return if rows.is_empty() {
            Check::new("cost", name, Outcome::Fail, "compared nothing")
        } else {
            Check::new("cost", name, Outcome::Pass, told.join("; "))
        };
    }
    let bad = bad.join("; ");
    if before.release == now.release {
        let remedy = "make it cheaper, or commit the new figures with the change: `cargo xtask bench --write`";
        return Check::new("cost", name, Outcome::Fail, format!("{bad}; {remedy}"));
    }
    // A kernel that Debian changed is no change of ours; it is told, and judged from the next committed figures on.
    let why = format!(
        "not judged: this is {}, the committed figures are of {} (`cargo xtask bench --write` renews them): {bad}",
        now.release, before.release
    );
    Check::new("cost", name, Outcome::Skip, why)
}

/// One row, then and now.
struct Moved {
    row: String,
    before: Option<f64>,
    now: Result<f64, String>,
    /// How well both repeat: what differs by less is no news (pins of a device by `io_uring`, by 22 to 73 instructions).
    spread: f64,
}

/// `None` where neither has a figure.
fn moved(before: &Figures, now: &Figures, row: &str, who: &str) -> Option<Moved> {
    let then = before.value(row, who);
    let spread = |figures: &Figures| match figures.find(row, who) {
        Some(Ok(amount)) => amount.spread,
        _ => 0.0,
    };
    let current = match now.find(row, who) {
        Some(Ok(amount)) => Ok(amount.value),
        Some(Err(reason)) => Err(reason.clone()),
        None => Err("not measured".to_owned()),
    };
    (then.is_some() || current.is_ok()).then(|| Moved {
        row: row.to_owned(),
        before: then,
        now: current,
        spread: spread(before) + spread(now),
    })
}

impl Moved {
    fn bad(&self) -> bool {
        match (self.before, &self.now) {
            (Some(before), Ok(now)) => {
                now - before > (before * MAY_GROW).max(NOISE).max(self.spread)
            }
            // What was measured must still be, and what is new must be committed.
            _ => true,
        }
    }

    fn text(&self) -> String {
        let row = &self.row;
        match (self.before, &self.now) {
            (Some(before), Ok(now)) => {
                format!(
                    "{row} {now:.0} ({:+.1} %, committed {before:.0})",
                    percent(before, *now)
                )
            }
            (None, Ok(now)) => format!("{row} {now:.0}, no committed figure"),
            (_, Err(reason)) => format!("{row} has no figure any more: {reason}"),
        }
    }
}

fn percent(before: f64, now: f64) -> f64 {
    if before == 0.0 {
        0.0
    } else {
        (now - before) / before * 100.0
    }
}

/// Every figure of any row that is not what it was, in words; by more than one in a hundred.
pub fn what_moved(before: &Figures, now: &Figures) -> Vec<String> {
    let mut lines = Vec::new();
    if before.release != now.release {
        lines.push(format!(
            "the kernel is {}, it was {}",
            now.release, before.release
        ));
    }
    for Reading { row, who, outcome } in &now.readings {
        let line = match (before.find(row, who), outcome) {
            (Some(Ok(then)), Ok(amount)) => {
                let share = percent(then.value, amount.value);
                let far = share.abs() > 1.0 && (amount.value - then.value).abs() > amount.spread;
                far.then(|| {
                    format!(
                        "{row} {who}: {} to {} ({share:+.1} %)",
                        then.value, amount.value
                    )
                })
            }
            (Some(Ok(_)), Err(reason)) => {
                Some(format!("{row} {who}: no figure any more: {reason}"))
            }
            (Some(Err(_)) | None, Ok(amount)) => {
                Some(format!("{row} {who}: new, {}", amount.value))
            }
            (_, Err(_)) => None,
        };
        lines.extend(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::reading::Amount;

    fn figures(release: &str, value: f64) -> Figures {
        let readings = vec![
            Reading::new("get", "daxscope/fentry", Ok(Amount::once(value))),
            Reading::new("get", "bpftrace/fentry", Ok(Amount::once(value * 9.0))),
        ];
        Figures {
            suite: "trixie".into(),
            release: release.into(),
            readings,
        }
    }

    fn record(value: f64) -> Record {
        Record {
            made: vec![],
            kernels: vec![figures("6.12.1", value)],
        }
    }

    fn outcome(committed: Option<&Record>, now: &Figures) -> (Outcome, String) {
        let checks = judge(committed, now);
        assert_eq!(checks.len(), 1, "peers are not judged");
        (checks[0].outcome, checks[0].detail.clone())
    }

    #[test]
    fn a_count_that_grew_fails_and_says_by_how_much_and_what_to_do() {
        let record = record(600.0);
        assert_eq!(
            outcome(Some(&record), &figures("6.12.1", 629.0)).0,
            Outcome::Pass
        );
        assert_eq!(
            outcome(Some(&record), &figures("6.12.1", 100.0)).0,
            Outcome::Pass
        );
        let (grown, detail) = outcome(Some(&record), &figures("6.12.1", 660.0));
        assert_eq!(grown, Outcome::Fail);
        assert!(
            detail.contains("+10.0 %") && detail.contains("bench --write"),
            "{detail}"
        );
    }

    #[test]
    fn a_count_is_judged_no_finer_than_it_repeats() {
        let spread = |value, spread| {
            let amount = Amount {
                spread,
                ..Amount::once(value)
            };
            let readings = vec![Reading::new("get", "daxscope/fentry", Ok(amount))];
            Figures {
                readings,
                ..figures("6.12.1", 0.0)
            }
        };
        let record = Record {
            made: vec![],
            kernels: vec![spread(600.0, 30.0)],
        };
        let judged = |now| outcome(Some(&record), &now).0;
        assert_eq!(judged(spread(650.0, 20.0)), Outcome::Pass);
        assert_eq!(judged(spread(651.0, 20.0)), Outcome::Fail);
    }

    #[test]
    fn another_kernel_is_told_and_not_judged() {
        let record = record(600.0);
        let (grown, detail) = outcome(Some(&record), &figures("6.12.2", 660.0));
        assert_eq!(grown, Outcome::Skip);
        assert!(
            detail.contains("6.12.2") && detail.contains("6.12.1"),
            "{detail}"
        );
        assert_eq!(
            outcome(Some(&record), &figures("6.12.2", 610.0)).0,
            Outcome::Pass
        );
        assert_eq!(outcome(None, &figures("6.12.1", 600.0)).0, Outcome::Skip);
    }

    #[test]
    fn a_figure_that_is_gone_or_not_committed_fails() {
        let mut now = figures("6.12.1", 600.0);
        now.readings[0].outcome = Err("refused".into());
        assert_eq!(outcome(Some(&record(600.0)), &now).0, Outcome::Fail);
        let mut more = figures("6.12.1", 600.0);
        more.readings.push(Reading::new(
            "pin",
            "daxscope/fentry",
            Ok(Amount::once(1.0)),
        ));
        assert_eq!(outcome(Some(&record(600.0)), &more).0, Outcome::Fail);
    }

    #[test]
    fn what_moved_is_told_for_everybody() {
        let moved = what_moved(&figures("6.12.1", 600.0), &figures("6.12.2", 660.0));
        assert_eq!(moved.len(), 3, "{moved:?}");
        assert!(what_moved(&figures("6.12.1", 600.0), &figures("6.12.1", 600.0)).is_empty());
    }
}
