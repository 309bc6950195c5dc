//! Instructions added to calls that pin: by us, by the least that anybody can do, and by other tools.

use anyhow::{Context, Result, anyhow};

use super::added::{self, Added};
use super::entered;
use super::peers;
use super::script::{Does, How};
use super::watch::{self, Watch};
use super::work::{Call, Work};
use crate::bench::reading::Reading;

/// The works by the names of their rows.
pub struct Works {
    named: Vec<(&'static str, Work)>,
}

const GET: &str = "get";
const PIN: &str = "pin";
const UNPIN: &str = "unpin";

impl Works {
    /// `device`: a device-dax device, for calls on device memory.
    pub fn all(device: &str) -> Works {
        let one = |call, from: &str| Work::of(call, from, 1);
        Works {
            named: vec![
                (GET, one(Call::Vmsplice, "anon")),
                ("get-device", one(Call::Vmsplice, device)),
                (PIN, one(Call::Register, "anon")),
                ("pin-device", one(Call::Register, device)),
                (UNPIN, one(Call::Unregister, "anon")),
                ("pin-huge", one(Call::Register, "thp")),
                ("pin-512", Work::of(Call::Register, "thp", 512)),
                ("unpin-huge", one(Call::Unregister, "thp")),
                ("unpin-512", Work::of(Call::Unregister, "thp", 512)),
                ("pair", one(Call::ProcessVm, "anon")),
                ("pair-huge", one(Call::ProcessVm, "thp")),
                ("pair-512", Work::of(Call::ProcessVm, "thp", 512)),
            ],
        }
    }

    fn work(&self, name: &str) -> Result<&Work> {
        let found = self.named.iter().find(|(known, _)| *known == name);
        found.map(|(_, work)| work).context("no such work")
    }

    fn of(&self, names: &[&str]) -> Vec<(&'static str, Work)> {
        let chosen = self.named.iter().filter(|(name, _)| names.contains(name));
        chosen.cloned().collect()
    }
}

/// The agent in its ways, on all works.
pub const WAYS: [(&str, &[&str]); 3] = [
    ("daxscope/fentry", &["--mechanism", "fentry"]),
    ("daxscope/kprobe", &["--mechanism", "kprobe"]),
    (
        "daxscope/no-latency",
        &["--mechanism", "fentry", "--no-latency"],
    ),
];

/// What is off unless asked for, beside `daxscope/fentry`. No target: the figures are for who thinks of asking.
const MORE: [(&str, &[&str]); 2] = [
    (
        "daxscope/track-holders",
        &["--mechanism", "fentry", "--track-holders"],
    ),
    (
        "daxscope/self-cost",
        &["--mechanism", "fentry", "--self-cost"],
    ),
];

/// What the agent adds with more turned on.
pub fn more(works: &Works, tell: &mut dyn FnMut(Reading)) {
    for (who, options) in MORE {
        let start = || -> Result<Box<dyn Watch>> { Ok(Box::new(watch::agent(options)?)) };
        each(
            &works.of(&[GET, "get-device", PIN, "pin-device", UNPIN]),
            who,
            start,
            tell,
        );
    }
}

/// What the agent adds.
pub fn ours(works: &Works, tell: &mut dyn FnMut(Reading)) -> Result<()> {
    added::settle(|| Ok(Box::new(watch::agent(&[])?)))?;
    for (who, options) in WAYS {
        let start = || -> Result<Box<dyn Watch>> { Ok(Box::new(watch::agent(options)?)) };
        each(&works.named, who, start, tell);
    }
    Ok(())
}

/// What the agent adds where every CPU calls at once.
pub fn all_cpus(tell: &mut dyn FnMut(Reading)) -> Result<()> {
    added::settle(|| Ok(Box::new(watch::agent(&[])?)))?;
    let threads = std::thread::available_parallelism()?.get() as u64;
    let mut work = Work::of(Call::Vmsplice, "anon", 1);
    work.threads = Some(threads);
    let row = format!("cpus-{threads}");
    for (who, options) in &WAYS[..2] {
        let start = || -> Result<Box<dyn Watch>> { Ok(Box::new(watch::agent(options)?)) };
        let added = added::to(std::slice::from_ref(&work), start);
        let added = added.and_then(|mut all| all.pop().context("nothing was measured")?);
        tell(Reading::new(&row, *who, added.map(|added| added.amount())));
    }
    Ok(())
}

/// What others add, each on the functions that our calls enter.
pub fn others(works: &Works, tell: &mut dyn FnMut(Reading)) -> Result<()> {
    let get = entered::by(works.work(GET)?, &entered::GUP)?;
    let pin = entered::by(works.work(PIN)?, &entered::GUP)?;
    let put = entered::by(works.work(UNPIN)?, &entered::UNPIN);
    let both = works.of(&[GET, PIN]);
    let bpftrace = |how, does| {
        move || -> Result<Box<dyn Watch>> {
            Ok(Box::new(peers::bpftrace(&[(get, how), (pin, how)], does)?))
        }
    };
    let pairs = [
        ("floor/fentry", How::Fentry, Does::Nothing),
        ("floor/fexit", How::Fentry, Does::NothingAtReturns),
        ("floor/kprobe", How::Kprobe, Does::Nothing),
        ("bpftrace/fentry", How::Fentry, Does::Histogram),
        ("bpftrace/kprobe", How::Kprobe, Does::Histogram),
    ];
    for (who, how, does) in pairs {
        each(&both, who, bpftrace(how, does), tell);
    }
    let unpin = || -> Result<Box<dyn Watch>> {
        let put = put.as_ref().map_err(|error| anyhow!("{error:#}"))?;
        Ok(Box::new(peers::bpftrace(
            &[(put, How::Fentry)],
            Does::NothingAtCalls,
        )?))
    };
    each(&works.of(&[UNPIN]), "floor/fentry", unpin, tell);
    each(
        &both,
        "perf/kprobe",
        || Ok(Box::new(peers::perf(&[get, pin])?)),
        tell,
    );
    // It takes one function.
    each(
        &works.of(&[GET]),
        "funclatency",
        || Ok(Box::new(peers::funclatency(get)?)),
        tell,
    );
    each(
        &works.of(&[PIN]),
        "funclatency",
        || Ok(Box::new(peers::funclatency(pin)?)),
        tell,
    );
    Ok(())
}

fn each(
    works: &[(&'static str, Work)],
    who: &str,
    start: impl Fn() -> Result<Box<dyn Watch>>,
    tell: &mut dyn FnMut(Reading),
) {
    let plain: Vec<Work> = works.iter().map(|(_, work)| work.clone()).collect();
    match added::to(&plain, start) {
        Ok(all) => {
            for ((row, _), added) in works.iter().zip(all) {
                tell(Reading::new(
                    *row,
                    who,
                    added.map(|added: Added| added.amount()),
                ));
            }
        }
        Err(error) => {
            for (row, _) in works {
                tell(Reading::new(*row, who, Err(anyhow!("{error:#}"))));
            }
        }
    }
}
