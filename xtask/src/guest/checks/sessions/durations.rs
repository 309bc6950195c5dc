//! How long calls took: each no less than its page was kept back and no more than its system call took; and percentiles no
//! further off than they say, of calls whose durations are known that way.

use anyhow::{Context, Result};
use serde_json::Value;

use super::calls::{self, Table};
use crate::guest::pin::By;
use crate::guest::report::Figures;
use crate::guest::session::Session;
use crate::guest::work::{Bounds, Crew, Order, Source, Task, Worker};

const CALLS: u64 = 24;
/// In thousandths, as the table names them.
const SHARES: [(&str, u64); 4] = [
    ("p50_ns", 500),
    ("p90_ns", 900),
    ("p99_ns", 990),
    ("p999_ns", 999),
];
/// Calls shorter than that are not wanted by one of the sessions; in nanoseconds, and as it is told.
const LEAST: (u64, &str) = (60_000_000, "60ms");

pub fn all(figures: &mut Figures) -> Result<()> {
    let task = Task {
        by: By::ProcessVmReadv,
        from: Source::Slow,
        per_call: 1,
        calls: CALLS,
    };
    let mut crew = Crew::start(vec![Worker {
        comm: b"slow",
        cgroup: None,
        tasks: vec![task],
    }])?;
    let pid = crew.members[0].pid.to_string();
    // The thread that fills the pages takes references when it ends, which are no pins.
    let filters = ["--pid", &pid, "--how", "pin"];
    let with = |words: &[&'static str]| [words, &filters].concat();
    let base = with(&["trace", "--json", "--by", "comm"]);
    let sessions = Session::start(&[
        with(&["events", "--json"]),
        base.clone(),
        [&base[..], &["--min-latency", LEAST.1]].concat(),
    ])?;
    crew.work(Order::InTurn)?;
    let mut said = sessions.into_iter().map(Session::end);
    let mut next = || said.next().context("a session for each line")?;
    let events = calls::events(&next()?)?;
    let (table, long) = (Table::parse(&next()?)?, Table::parse(&next()?)?);

    let bounds = crew.members[0].bounds.first().context("no bounds")?;
    let took: Option<Vec<u64>> = events.iter().map(|event| event.ns).collect();
    let took = took.context("an event without a duration")?;
    figures.equal("events", CALLS, took.len() as u64);
    // The calls were made one after the other.
    for (took, bounds) in took.iter().zip(bounds) {
        let inside = (bounds.least..=bounds.most).contains(took);
        figures.holds_quietly(&format!("{took} ns of an event are in {bounds:?}"), inside);
    }
    let group = table.each().next().context("no group of slow calls")?;
    percentiles(figures, group, table.error()?, bounds, &took)?;
    let sum = table.total()?;
    figures.equal("calls", CALLS, sum.calls);
    let surely = bounds
        .iter()
        .filter(|bounds| bounds.least >= LEAST.0)
        .count() as u64;
    let perhaps = bounds
        .iter()
        .filter(|bounds| bounds.most >= LEAST.0)
        .count() as u64;
    let calls = long.total()?.calls;
    figures.holds(
        &format!(
            "{calls} calls of at least {}, which {surely} to {perhaps} took",
            LEAST.1
        ),
        (surely..=perhaps).contains(&calls),
    );
    Ok(())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nanoseconds of less than a minute"
)]
fn percentiles(
    figures: &mut Figures,
    group: &Value,
    error: f64,
    bounds: &[Bounds],
    took: &[u64],
) -> Result<()> {
    figures.holds(&format!("the error is {error} %"), error <= 6.0);
    let sorted = |mut values: Vec<u64>| {
        values.sort_unstable();
        values
    };
    let least = sorted(bounds.iter().map(|bounds| bounds.least).collect());
    let most = sorted(bounds.iter().map(|bounds| bounds.most).collect());
    let exact = sorted(took.to_vec());
    for (name, share) in SHARES {
        let told = group[name].as_u64();
        let told = told.with_context(|| format!("no {name} in {group}"))? as f64;
        // The nearest rank: so many calls took no longer.
        let rank = (exact.len() as u64 * share).div_ceil(1000).max(1);
        let rank = usize::try_from(rank)? - 1;
        let (low, high) = (least[rank] as f64, most[rank] as f64);
        let inside = told >= low * (1.0 - error / 100.0) && told <= high * (1.0 + error / 100.0);
        figures.holds(
            &format!("{name} is {told}, of calls of {low} to {high} ns"),
            inside,
        );
        // Two sessions time each for itself: both are inside of the same bounds.
        let near = (told - exact[rank] as f64).abs() <= high - low + high * error / 100.0;
        figures.holds(&format!("{name} by events is {}", exact[rank]), near);
    }
    let longest = group["max_ns"].as_u64().context("no max_ns")?;
    let inside = (least[least.len() - 1]..=most[most.len() - 1]).contains(&longest);
    figures.holds(&format!("the longest took {longest} ns"), inside);
    Ok(())
}
