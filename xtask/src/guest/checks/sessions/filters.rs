//! Every filter: what comes through is what fits, whoever counts it.

use anyhow::{Context, Result};

use super::calls::{self, Calls, Table, grouped};
use super::workload::{Ground, RUDE_ESCAPED, pids};
use crate::guest::report::Figures;
use crate::guest::session::Session;
use crate::guest::work::{Crew, Order};

/// A filter as it is written, and which calls it lets through; of the memory only parts that fit.
struct Filter {
    words: Vec<String>,
    fits: Fits,
}

/// Of a call, and the geometry and device of a part of it.
type Fits = Box<dyn Fn(&Calls, [&str; 2]) -> bool>;

const BY: [&str; 2] = ["comm", "errno"];

pub fn all(figures: &mut Figures, ground: &Ground) -> Result<()> {
    let mut crew = ground.crew()?;
    let known = ground.calls(&crew)?;
    let all = pids(&crew);
    let filters = filters(ground, &crew, &known)?;
    let base = ["trace", "--json", "--by", "comm,errno", "--pid", &all];
    let words = filters.iter().map(|filter| {
        let own = filter.words.iter().map(String::as_str);
        let has_own = filter.words.iter().any(|word| word == "--pid");
        let base = if has_own { &base[..4] } else { &base[..] };
        base.iter().copied().chain(own).collect()
    });
    let sessions = Session::start(&words.collect::<Vec<_>>())?;
    crew.work(Order::InTurn)?;
    for (session, filter) in sessions.into_iter().zip(&filters) {
        let what = filter.words.join(" ");
        let table = Table::parse(&session.end_in_part()?).with_context(|| what.clone())?;
        table.sound(figures, &what)?;
        let expected = grouped(&known, &BY, &filter.fits);
        calls::equal(figures, &what, &expected, &table.groups(&BY, |_| true)?);
    }
    Ok(())
}

fn filters(ground: &Ground, crew: &Crew, known: &[Calls]) -> Result<Vec<Filter>> {
    let [base, compound, ..] = &ground.devices[..] else {
        anyhow::bail!("three devices are needed");
    };
    let first = crew.members.first().context("an empty crew")?;
    let thread = first.threads[1].to_string();
    let is = |by: &'static str, value: &str| {
        let value = value.to_owned();
        move |calls: &Calls, _: [&str; 2]| calls.is.get(by) == Some(&value)
    };
    let geometry = |wanted: &str| {
        let wanted = wanted.to_owned();
        move |_: &Calls, [geometry, _]: [&str; 2]| geometry == wanted
    };
    let device = |wanted: String| move |_: &Calls, [_, device]: [&str; 2]| device == wanted;
    let remote = &known[0].is["entry"];
    let (base_geometry, compound_geometry) = (base.geometry()?.name, compound.geometry()?.name);
    // As it is shown.
    let rude = RUDE_ESCAPED.to_owned();
    let rude_words = rude.clone();
    let both = {
        let (comm, geometry) = (is("comm", "remote"), geometry(base_geometry));
        move |calls: &Calls, part: [&str; 2]| comm(calls, part) && geometry(calls, part)
    };
    let either = move |calls: &Calls, _: [&str; 2]| ["remote", &rude].contains(&&*calls.is["comm"]);
    let geometries = {
        let (known, unknown) = (geometry(compound_geometry), geometry("unknown"));
        move |calls: &Calls, part: [&str; 2]| known(calls, part) || unknown(calls, part)
    };
    let geometries_words = format!("{compound_geometry},unknown");
    let process = first.pid.to_string();
    Ok(vec![
        filter(&["--pid", &process], is("tgid", &process)),
        filter(&["--pid", &thread], is("pid", &thread)),
        filter(&["--comm", "remote", "--comm", &rude_words], either),
        filter(&["--cgroup", "/b"], is("cgroup", "/b")),
        filter(&["--device", &compound.namespace], device(compound.name())),
        filter(&["--geometry", "system"], geometry("system")),
        filter(&["--geometry", &geometries_words], geometries),
        filter(&["--entry", remote], is("entry", remote)),
        filter(&["--how", "get"], is("how", "get")),
        filter(&["--longterm"], is("longterm", "longterm")),
        filter(&["--min-pages", "100"], |calls, _| calls.pages() >= 100),
        filter(&["--comm", "remote", "--geometry", base_geometry], both),
    ])
}

fn filter(words: &[&str], fits: impl Fn(&Calls, [&str; 2]) -> bool + 'static) -> Filter {
    Filter {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        fits: Box::new(fits),
    }
}
