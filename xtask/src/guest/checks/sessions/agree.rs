//! One workload, watched by everybody at once: all count the same, which is what was done.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use super::LISTEN;
use super::calls::{self, Calls, Groups, KNOWN, Sum, Table, grouped, total};
use super::workload::{Ground, name_of, pids};
use crate::guest::agent::{self, Agent};
use crate::guest::oracle::GUP;
use crate::guest::report::Figures;
use crate::guest::scrape::Delta;
use crate::guest::session::Session;
use crate::guest::work::Order;

/// Dimensions that are asked for together, each once.
const PAIRS: [[&str; 2]; 6] = [
    ["geometry", "device"],
    ["entry", "how"],
    ["comm", "errno"],
    ["pid", "tgid"],
    ["cgroup", "longterm"],
    ["caller", "ustack"],
];
/// Everything that a recording can be asked again.
const RECORDED: &str =
    "geometry,entry,how,device,comm,pid,tgid,cgroup,errno,longterm,caller,kstack";
const FILE: &str = "/tmp/agree.daxscope";
/// What a session may take at any time, in KiB: 25 MB (issue 5).
const MEMORY: u64 = 25_000_000 / 1024;

pub fn all(figures: &mut Figures, ground: &Ground) -> Result<()> {
    let mut crew = ground.crew()?;
    let known = ground.calls(&crew)?;
    let pids = pids(&crew);

    let _ = fs::remove_file(FILE);
    let pairs = PAIRS.map(|pair| pair.join(","));
    let mut words: Vec<Vec<&str>> = vec![
        vec!["events", "--json", "--stack", "--pid", &pids],
        vec!["record", "-o", FILE, "--by", RECORDED, "--pid", &pids],
        // Everybody's calls, of which those of the workload are picked out afterwards.
        vec!["trace", "--json", "--by", "comm,entry"],
    ];
    let entries = ground.entries();
    let of_pair = |by| {
        let words = ["trace", "--json", "--by", by, "--pid", &pids];
        words.into_iter().chain(["--entry", &entries]).collect()
    };
    words.extend(pairs.iter().map(|by| of_pair(by)));
    let agent = Agent::start(&[], LISTEN)?;
    let sessions = Session::start(&words)?;

    let before = agent.scrape()?;
    crew.work(Order::InTurn)?;
    let after = agent.scrape()?;
    for (session, words) in sessions.iter().zip(&words) {
        let [now, most] = session.memory()?;
        figures.note(format!("{} has {now} KiB, had {most}", words[0]));
        figures.holds_quietly(&format!("{words:?}: {most} KiB"), most < MEMORY);
    }
    let mut said = sessions.into_iter().map(Session::end_in_part);
    let mut next = || said.next().context("a session for each line")?;
    let (events, _, everybody) = (next()?, next()?, next()?);

    metrics(
        figures,
        &known,
        &Delta {
            before: &before,
            after: &after,
        },
    );
    let events = calls::events(&events)?;
    each_event(figures, &known, &events);
    let names: Vec<String> = crew.members.iter().map(name_of).collect();
    let everybody = Table::parse(&everybody)?;
    let by = ["comm", "entry"];
    let ours = everybody.groups(&by, |group| {
        names.iter().any(|name| group["comm"] == **name)
    })?;
    calls::equal(figures, "trace of everybody", &of(&known, &by), &ours);
    for pair in PAIRS {
        let table = Table::parse(&next()?)?;
        table.sound(figures, &format!("{pair:?}"))?;
        same(figures, "trace", &pair, &known, &events, &table)?;
    }
    for by in RECORDED.split(',') {
        let output = agent::run(&["report", FILE, "--json", "--by", by])?;
        let table = String::from_utf8(output.stdout)?;
        let table =
            Table::parse(&table).context(String::from_utf8_lossy(&output.stderr).into_owned())?;
        table.sound(figures, by)?;
        same(figures, "report", &[by], &known, &events, &table)?;
    }
    fs::remove_file(FILE).context("the recording")
}

fn of(calls: &[Calls], by: &[&str]) -> Groups {
    grouped(calls, by, |_, _| true)
}

/// A table by some dimensions, against the driver in what it knows and the events in what they know.
fn same(
    figures: &mut Figures,
    verb: &str,
    by: &[&str],
    known: &[Calls],
    events: &[Calls],
    table: &Table,
) -> Result<()> {
    let driver: Vec<&str> = by.iter().copied().filter(|by| KNOWN.contains(by)).collect();
    let what = |of: &[&str], by: &str| format!("{verb} by {} and {by}", of.join(","));
    let groups = table.groups(&driver, |_| true)?;
    calls::equal(
        figures,
        &what(&driver, "the driver"),
        &of(known, &driver),
        &groups,
    );
    let told: Vec<&str> = by.iter().copied().filter(|by| *by != "ustack").collect();
    let (expected, groups) = (of(events, &told), table.groups(&told, |_| true)?);
    let what = what(&told, "events");
    if [&expected, &groups].into_iter().any(unknown) {
        // Up to 5.14 a stack ends where the kretprobe of another has put its trampoline; `callers` has them alone.
        figures.note(format!(
            "{what}: who is behind another kretprobe is unknown"
        ));
        figures.equal(&what, total(&expected), total(&groups));
    } else {
        calls::equal(figures, &what, &expected, &groups);
    }
    Ok(())
}

/// Whether a stack could not be told, or not to its end.
fn unknown(groups: &Groups) -> bool {
    let cut = |value: &String| value == "[unknown]" || value.ends_with("kretprobe_trampoline");
    groups.keys().flatten().any(cut)
}

/// Each call is one event, with all that the driver knows of it.
fn each_event(figures: &mut Figures, known: &[Calls], events: &[Calls]) {
    calls::equal(
        figures,
        "events by all",
        &of(known, &KNOWN),
        &of(events, &KNOWN),
    );
    for calls in known {
        let like = |event: &&Calls| {
            let same = KNOWN.iter().all(|by| match calls.is.get(by) {
                Some(value) => event.is.get(by) == Some(value),
                None => true,
            });
            same && event.parts == calls.parts && event.asked == calls.asked
        };
        let alike = events.iter().filter(like).count() as u64;
        let what = format!(
            "events of {:?} in {:?}, {} asked",
            calls.is, calls.parts, calls.asked
        );
        figures.equal_quietly(&what, calls.times, alike);
    }
    let untimed = events.iter().filter(|event| event.ns.is_none()).count();
    figures.equal_quietly("events without a duration", 0, untimed);
}

/// What the daemon counted meanwhile, in the names of its metrics.
fn metrics(figures: &mut Figures, known: &[Calls], change: &Delta) {
    let mut expected = Groups::new();
    let mut observed = Groups::new();
    let mut failed: BTreeMap<&str, u64> = BTreeMap::new();
    for (symbol, how, entry) in GUP {
        for geometry in ["system", "unknown", "4K", "2M", "1G"] {
            let fits = |calls: &Calls, [of, _]: [&str; 2]| {
                of == geometry && calls.is.get("entry").is_some_and(|entry| entry == symbol)
            };
            let sum = total(&grouped(known, &[], fits));
            *failed.entry(how).or_default() += sum.errors;
            let labels = [("how", *how), ("entry", *entry), ("geometry", geometry)];
            let counted = Sum {
                calls: change.of("daxscope_gup_calls_total", &labels),
                pages: change.of("daxscope_gup_pages_total", &labels),
                errors: 0,
            };
            let key = vec![(*symbol).to_owned(), geometry.to_owned()];
            expected.insert(key.clone(), Sum { errors: 0, ..sum });
            observed.insert(key, counted);
        }
    }
    for (how, errors) in failed {
        let counted = change.of("daxscope_gup_errors_total", &[("how", how)]);
        figures.equal(&format!("the daemon: {how} errors"), errors, counted);
    }
    calls::equal(figures, "the daemon", &expected, &observed);
    figures.equal(
        "lost by the daemon",
        0,
        change.of("daxscope_lost_total", &[]),
    );
}
