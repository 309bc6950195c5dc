//! What the tests print: a line for each check, and a table of all in the end.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Report;
use crate::verdict::{self, Check, Outcome};

pub fn print_check(place: &str, check: &Check) {
    let Check {
        outcome,
        group,
        name,
        detail,
    } = check;
    let name = if place == group {
        name.clone()
    } else {
        format!("{group}/{name}")
    };
    // What passed is not read again; the whole line is in the guest's console log.
    let shown = if *outcome == Outcome::Pass { 100 } else { 2000 };
    let more = if detail.chars().count() > shown {
        "…"
    } else {
        ""
    };
    let detail: String = detail.chars().take(shown).collect();
    println!("{place:16}  {}  {name}  {detail}{more}", outcome.word());
}

/// What is wrong, once more: who reads only the end of a long log must not miss it.
pub fn print_failed(reports: &[Report]) {
    let failed: Vec<(&str, &Check)> = reports
        .iter()
        .flat_map(|report| {
            let of = |check| (report.place.as_str(), check);
            report.checks.iter().map(of)
        })
        .filter(|(_, check)| check.outcome == Outcome::Fail)
        .collect();
    if !failed.is_empty() {
        println!("\nfailed:");
    }
    for (place, check) in failed {
        print_check(place, check);
    }
}

/// Kernels down, groups of checks across.
pub fn print_table(reports: &[Report]) {
    let (host, guests): (Vec<_>, Vec<_>) =
        reports.iter().partition(|report| report.place == "host");
    for check in host.iter().flat_map(|report| &report.checks) {
        print!("\n{:16}  {}", check.name, check.outcome.word());
    }
    println!();
    if guests.is_empty() {
        return;
    }
    let groups: BTreeSet<&str> = guests
        .iter()
        .flat_map(|report| &report.checks)
        .map(|check| check.group.as_str())
        .collect();
    print!("\n{:16}", "kernel");
    for group in &groups {
        print!("  {group:>12}");
    }
    println!();
    let mut guests = guests;
    guests.sort_by(|a, b| a.place.cmp(&b.place));
    for report in guests {
        print!("{:16}", report.place);
        for group in &groups {
            let of: Vec<Check> = report
                .checks
                .iter()
                .filter(|check| check.group == *group)
                .cloned()
                .collect();
            print!("  {:>12}", cell(verdict::count(&of)));
        }
        println!();
    }
}

fn cell([passed, failed, skipped]: [usize; 3]) -> String {
    match (passed + failed + skipped, failed, skipped) {
        (0, ..) => "-".to_owned(),
        (all, 0, 0) => format!("{all} ok"),
        (_, 0, skipped) => format!("{passed} ok, {skipped} skip"),
        (all, failed, _) => format!("{failed}/{all} FAIL"),
    }
}

pub fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, cell, minutes};

    #[test]
    fn cells_show_the_worst_first() {
        assert_eq!(cell([0, 0, 0]), "-");
        assert_eq!(cell([3, 0, 0]), "3 ok");
        assert_eq!(cell([3, 0, 1]), "3 ok, 1 skip");
        assert_eq!(cell([3, 2, 1]), "2/6 FAIL");
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(minutes(Duration::from_millis(1500)), "1.5 s");
        assert_eq!(minutes(Duration::from_secs(125)), "2 min 05 s");
    }
}
