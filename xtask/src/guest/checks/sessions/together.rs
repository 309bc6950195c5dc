//! Everybody pins at once, and everybody watches: what fentry watches is counted to the last call. A kretprobe has no room for
//! all of them (`parked` proves what becomes of those).

use anyhow::Result;

use super::calls::{self, Table, grouped};
use super::workload::{Ground, pids};
use crate::guest::report::Figures;
use crate::guest::session::Session;
use crate::guest::work::Order;

const BY: [&str; 2] = ["entry", "comm"];
const ROUNDS: usize = 20;

pub fn all(figures: &mut Figures, ground: &Ground) -> Result<()> {
    let mut crew = ground.crew()?;
    let mut known = ground.calls(&crew)?;
    let (pids, by) = (pids(&crew), BY.join(","));
    let words = ["trace", "--json", "--by", &by, "--pid", &pids];
    let events = ["events", "--json", "--pid", &pids];
    let sessions = Session::start(&[words.to_vec(), events.to_vec(), words.to_vec()])?;
    for _ in 0..ROUNDS {
        crew.work(Order::Together)?;
    }
    for calls in &mut known {
        calls.times *= ROUNDS as u64;
    }
    let said = sessions.into_iter().map(Session::end_in_part);
    let said = said.collect::<Result<Vec<_>>>()?;
    let (first, events) = (Table::parse(&said[0])?, calls::events(&said[1])?);
    let second = Table::parse(&said[2])?;
    let by_fentry = |entry: &str| {
        first
            .points()
            .any(|point| point["entry"] == *entry && point["mechanism"] == "fentry")
    };
    let watched = |calls: &calls::Calls, _: [&str; 2]| by_fentry(&calls.is["entry"]);
    let expected = grouped(&known, &BY, watched);
    let told = grouped(&events, &BY, watched);
    calls::equal(figures, "events", &expected, &told);
    for table in [&first, &second] {
        let fits = |group: &serde_json::Value| group["entry"].as_str().is_some_and(by_fentry);
        calls::equal(figures, "trace", &expected, &table.groups(&BY, fits)?);
    }
    Ok(())
}
