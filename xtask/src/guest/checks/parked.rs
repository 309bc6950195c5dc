//! Threads that sit inside get-user-pages, many at once: what a kretprobe has no room for, and what becomes of calls
//! whose process is killed.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::stage::{Change, Moment, Stage};
use super::{LISTEN, Scope, displaced};
use crate::guest::agent::Agent;
use crate::guest::oracle::{GUP, Hits, Returns, Seen};
use crate::guest::pin::{By, Parked};
use crate::guest::report::{Figures, Report};
use crate::guest::scrape::Scrape;

const THREADS: u64 = 1024;
/// Calls in flight of threads that have ended are given up at a scrape.
const PATIENCE: Duration = Duration::from_secs(20);

const SPANS: [(&str, &str); 1] = [("map", "GUP_SPANS")];

pub fn all(report: &mut Report) -> Result<()> {
    let hits = Hits::watch(GUP.iter().map(|(symbol, ..)| *symbol))?;
    for mechanism in ["fentry", "kprobe"] {
        let mut agent = None;
        report.check(&format!("parked/{mechanism}-returned"), |figures| {
            let agent = agent.insert(Agent::start(&["--mechanism", mechanism], LISTEN)?);
            let stage = Stage::new(mechanism, agent, &hits, Scope::Full, false);
            returned(figures, &stage)
        });
        report.check(&format!("parked/{mechanism}-killed"), |figures| {
            let agent = agent.as_ref().context("no agent runs")?;
            let stage = Stage::new(mechanism, agent, &hits, Scope::Full, false);
            killed(figures, &stage)
        });
        report.check(&format!("parked/{mechanism}-displaced"), |figures| {
            let agent = agent.as_ref().context("no agent runs")?;
            let stage = Stage::new(mechanism, agent, &hits, Scope::Full, false);
            displaced::each_is_counted(figures, &stage)
        });
    }
    Ok(())
}

/// A system call whose entry point the agent watches by this mechanism: fentry cannot take the seven parameters of
/// `pin_user_pages_remote` on 5.10 and 6.1.
pub(super) struct Way {
    pub by: By,
    pub symbol: &'static str,
    pub labels: [(&'static str, &'static str); 2],
}

impl Way {
    pub fn find(stage: &Stage, now: &Scrape) -> Result<Way> {
        let ways = [
            (By::ProcessVmReadv, "pin_user_pages_remote", "pin", "remote"),
            (By::Vmsplice, "get_user_pages_fast", "get", "fast"),
        ];
        let watched = |symbol: &str| {
            let of = [("symbol", symbol), ("mechanism", stage.mechanism)];
            now.total("daxscope_probe_attached", &of) > 0
        };
        let (by, symbol, how, entry) = ways
            .into_iter()
            .find(|(_, symbol, ..)| watched(symbol))
            .context("the agent watches no way into get-user-pages by this mechanism")?;
        let labels = [("how", how), ("entry", entry)];
        Ok(Way { by, symbol, labels })
    }
}

fn returned(figures: &mut Figures, stage: &Stage) -> Result<()> {
    let way = Way::find(stage, &stage.agent.scrape()?)?;
    let returns = Returns::of(way.symbol)?;
    let before = stage.moment()?;
    let mut parked = Parked::start(way.by, THREADS)?;
    let sitting = stage.agent.scrape()?;
    let in_flight = sitting.total("daxscope_map_entries", &SPANS);
    figures.holds(
        &format!(
            "{in_flight} calls in flight with {THREADS} threads in {}",
            way.symbol
        ),
        in_flight >= THREADS,
    );
    parked.release()?;
    let seen = returns.read()?;
    drop(returns);
    accounted(figures, stage, &way, &before, seen)
}

fn killed(figures: &mut Figures, stage: &Stage) -> Result<()> {
    let way = Way::find(stage, &stage.agent.scrape()?)?;
    let returns = Returns::of(way.symbol)?;
    let before = stage.moment()?;
    let mut parked = Parked::start(way.by, THREADS)?;
    parked.kill()?;
    let seen = returns.read()?;
    drop(returns);
    accounted(figures, stage, &way, &before, seen)
}

/// Each call is counted, with a duration, or exported as lost; nothing stays in flight.
fn accounted(
    figures: &mut Figures,
    stage: &Stage,
    way: &Way,
    before: &Moment,
    seen: Seen,
) -> Result<()> {
    let after = settled(stage)?;
    let change = Change::between(before, &after);
    // The end of a thread is a `get_user_pages_fast` of its own (kernel/futex), so there are more of those.
    let calls = change.hits(way.symbol);
    figures.holds(
        &format!("{} called {calls} times", way.symbol),
        calls == THREADS || (way.by == By::Vmsplice && calls > THREADS),
    );
    let counted = change.agent.of("daxscope_gup_calls_total", &way.labels);
    let [timed, durations] = change.timed(way.labels[0].1);
    let left_out = change.left_out(way.symbol, "return");
    if stage.mechanism == "kprobe" {
        figures.equal("calls counted, as any kretprobe", seen.hits, counted);
        figures.equal("durations", timed, durations);
        figures.equal("lost", calls - seen.hits, change.lost());
        kernels_word(figures, &after.scrape, way, calls - seen.hits, left_out);
    } else if stage.preempted(&change) {
        // As in `pins`: a kernel that preempts itself leaves programs out, and says how often.
        figures.equal(
            &format!("{counted} calls counted and {left_out} left out, together"),
            calls,
            counted + left_out,
        );
        figures.holds(
            &format!("the reason is exported: {:?}", change.reason(way.symbol)),
            change.reason(way.symbol).contains("preempts itself"),
        );
    } else {
        figures.equal("calls", calls, counted);
        figures.equal("durations", timed, durations);
        figures.equal("lost", 0, change.lost());
    }
    let in_flight = after.scrape.total("daxscope_map_entries", &SPANS);
    figures.equal("calls in flight afterwards", 0, in_flight);
    Ok(())
}

/// The kernel counts the misses of a kretprobe too, and tells them since 6.7 (`bpf_link_info`). But two CPUs that count
/// at once count one (`nmissed++`, kernel/kprobes.c): measured on 7.3, 1013 of 1014.
fn kernels_word(figures: &mut Figures, scrape: &Scrape, way: &Way, missed: u64, told: u64) {
    if kernel_tells(scrape, way.symbol) {
        figures.holds(
            &format!("the kernel tells of {told} missed returns of {missed}"),
            told <= missed && told + missed / 50 >= missed,
        );
    } else {
        figures.note(format!(
            "this kernel tells of none of {missed} missed returns"
        ));
    }
}

/// `bpf_link_info` has the misses of a kretprobe since 6.7.
fn kernel_tells(scrape: &Scrape, symbol: &str) -> bool {
    let of = [("probe", symbol), ("end", "return")];
    scrape.series("daxscope_probe_missed_total", &of).count() > 0
}

/// Once nothing is in flight any more, or clearly will be for good.
pub(super) fn settled(stage: &Stage) -> Result<Moment> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = stage.moment()?;
        let in_flight = now.scrape.total("daxscope_map_entries", &SPANS);
        if in_flight == 0 || Instant::now() > deadline {
            // What was given up at that scrape shows at the next.
            return stage.moment();
        }
        sleep(Duration::from_millis(200));
    }
}
