//! What the agent takes for itself: to start, to answer a scrape, to wait; beside bpftrace on the same functions.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::added;
use super::figure::Figure;
use super::peers::{self, Peer};
use super::process;
use super::script::{Does, How};
use super::watch::{self, Watch};
use crate::bench::reading::{Amount, Reading};
use crate::guest::agent::Agent;
use crate::guest::http;
use crate::guest::scrape::Scrape;

const IDLE: Duration = Duration::from_secs(30);
/// Scrapes that are measured one by one.
const SINGLE: u64 = 21;

pub const OURS: &str = "daxscope";

/// `scrapes`: how many to make before the memory is looked at again.
pub fn ours(scrapes: u64, tell: &mut dyn FnMut(Reading)) -> Result<Scrape> {
    added::settle(|| Ok(Box::new(watch::agent(&[])?)))?;
    let agent = watch::agent(&[])?;
    let pid = agent.pid();
    let mut told = |row: &str, amount: Result<Amount>| tell(Reading::new(row, OURS, amount));
    told("start", process::cpu(pid).map(whole));
    added::rest();
    told("resident", process::resident(pid).map(whole));
    told("wakeups", wakeups(pid));
    let scrape = agent.scrape()?;
    told("scrape", single_scrapes(&agent).map(amount));
    told("scrape-bytes", Ok(whole(scrape.text.len() as u64)));
    let series = scrape
        .text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    told("scrape-series", Ok(whole(series.count() as u64)));
    told(
        "devices",
        Ok(whole(
            scrape.series("daxscope_pagemap_info", &[]).count() as u64
        )),
    );
    // What answers take for their texts is there from now on; more is growth.
    told("resident-first", process::resident(pid).map(whole));
    for _ in 0..scrapes {
        http::get(agent.address, "/metrics")?;
    }
    told("resident-after", process::resident(pid).map(whole));
    Box::new(agent).stop()?;
    added::rest();
    Ok(scrape)
}

/// In so many seconds with nobody who asks.
fn wakeups(pid: u32) -> Result<Amount> {
    let before = process::wakeups(pid)?;
    sleep(IDLE);
    Ok(whole(process::wakeups(pid)? - before))
}

/// Of the agent's own CPU time: the client is another process.
fn single_scrapes(agent: &Agent) -> Result<Figure> {
    let one = || -> Result<u64> {
        let before = process::cpu(agent.pid())?;
        http::get(agent.address, "/metrics")?;
        // It may have a little to do yet after its answer.
        sleep(Duration::from_millis(50));
        Ok(process::cpu(agent.pid())? - before)
    };
    for _ in 0..3 {
        one()?;
    }
    Figure::of((0..SINGLE).map(|_| one()).collect::<Result<_>>()?, 1)
}

/// bpftrace with a histogram on all functions that the agent was attached to, and as it was.
pub fn bpftrace(scrape: &Scrape, tell: &mut dyn FnMut(Reading)) {
    let mut told = |row: &str, amount: Result<Amount>| tell(Reading::new(row, "bpftrace", amount));
    let mut functions = attached(scrape);
    // The first start fills the page cache with its libraries.
    let started = start(&mut functions).and_then(|peer| {
        Box::new(peer).stop()?;
        added::rest();
        start(&mut functions)
    });
    match started {
        Ok(peer) => {
            told("start", process::cpu(peer.pid()).map(whole));
            added::rest();
            told("resident", process::resident(peer.pid()).map(whole));
            told("functions", Ok(whole(functions.len() as u64)));
        }
        Err(error) => told("start", Err(error)),
    }
}

/// Symbols with their mechanism.
fn attached(scrape: &Scrape) -> BTreeMap<String, How> {
    let attached = scrape.series("daxscope_probe_attached", &[]);
    let attached = attached.filter(|(_, value)| *value > 0.0);
    let each = attached.filter_map(|(labels, _)| {
        let how = match labels.get("mechanism")?.as_str() {
            "fentry" => How::Fentry,
            _ => How::Kprobe,
        };
        Some((labels.get("symbol")?.clone(), how))
    });
    each.collect()
}

/// By kprobe what it refuses by fentry (on 6.1, functions of more than six parameters), and without what it refuses then.
fn start(functions: &mut BTreeMap<String, How>) -> Result<Peer> {
    for _ in 0..=2 * functions.len() {
        let list: Vec<(&str, How)> = functions
            .iter()
            .map(|(name, how)| (name.as_str(), *how))
            .collect();
        let error = match peers::bpftrace(&list, Does::Histogram) {
            Ok(peer) => return Ok(peer),
            Err(error) => error,
        };
        let said = format!("{error:#}");
        let named = functions.iter().find(|(name, _)| names(&said, name));
        match named.map(|(name, how)| (name.clone(), *how)) {
            Some((name, How::Fentry)) => functions.insert(name, How::Kprobe),
            Some((name, How::Kprobe)) => functions.remove(&name),
            None => return Err(error),
        };
    }
    bail!("bpftrace refuses all of them")
}

/// Whether a word of what was said is this function.
fn names(said: &str, function: &str) -> bool {
    said.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .any(|word| word == function)
}

/// Bytes of the program as users get it.
pub fn binary() -> Result<Amount> {
    let path = "/bin/daxscope";
    let file = std::fs::metadata(path).with_context(|| format!("no {path}"))?;
    Ok(whole(file.len()))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn whole(count: u64) -> Amount {
    Amount::once(count as f64)
}

fn amount(figure: Figure) -> Amount {
    Amount {
        value: figure.median,
        spread: figure.spread,
        base: None,
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_function_is_not_taken_for_one_that_begins_like_it() {
        let said = "ERROR: Error attaching probe: kretfunc:vmlinux:pin_user_pages_remote";
        assert!(names(said, "pin_user_pages_remote"));
        assert!(!names(said, "pin_user_pages"));
    }
}
