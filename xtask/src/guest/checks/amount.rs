//! Ten million pins by one mechanism: what is counted and what is said to be lost make the kernel's own figure.

use anyhow::{Context, Result, ensure};

use super::LISTEN;
use super::Scope;
use super::stage::{Change, Stage};
use crate::guest::agent::Agent;
use crate::guest::oracle::{GUP, Hits};
use crate::guest::pin::{self, By, Memory, Plan, threads};
use crate::guest::report::{Figures, Report};

const PAGES: u64 = 10_000_000;
const SYSTEM: [(&str, &str); 2] = [("how", "pin"), ("geometry", "system")];

pub fn all(report: &mut Report, quick: bool) -> Result<()> {
    let hits = Hits::watch(GUP.iter().map(|(symbol, ..)| *symbol))?;
    let pages = if quick { PAGES / 8 } else { PAGES };
    for mechanism in ["fentry", "kprobe"] {
        report.check(&format!("amount/{mechanism}-ten-million"), |figures| {
            let agent = Agent::start(&["--mechanism", mechanism], LISTEN)?;
            let stage = Stage::new(mechanism, &agent, &hits, Scope::Full, quick);
            unaccounted(figures, &stage, pages)
        });
    }
    Ok(())
}

/// A system call that pins by a function that this mechanism can watch. fentry cannot take the seven parameters of
/// `pin_user_pages_remote` on 5.10 and 6.1; there `io_uring` registers large buffers, of which each costs milliseconds.
fn plan(stage: &Stage, pages: u64) -> Result<(Plan, &'static str)> {
    let scrape = stage.agent.scrape()?;
    let watched = |symbol: &str| {
        let of = [("symbol", symbol), ("mechanism", stage.mechanism)];
        scrape.total("daxscope_probe_attached", &of) > 0
    };
    let ways = [
        ("pin_user_pages_remote", By::ProcessVmReadv, 1000),
        ("pin_user_pages", By::IoUring, 10_000),
    ];
    let (symbol, by, per_call) = ways
        .into_iter()
        .find(|(symbol, ..)| watched(symbol))
        .context("the agent watches no way to pin by this mechanism")?;
    // Calls of one size: a call that was lost was of as many pages.
    Ok((Plan::of_pages(by, pages, per_call, threads()), symbol))
}

fn unaccounted(figures: &mut Figures, stage: &Stage, wanted: u64) -> Result<()> {
    let (plan, symbol) = plan(stage, wanted)?;
    let pages = plan.per_call * plan.threads;
    let memory = match plan.by {
        By::IoUring => Memory::of_base_pages(pages)?,
        _ => Memory::anonymous(pages)?,
    };
    let (done, before, _) = pin::run(&[plan], &memory, || stage.moment())?;
    // The threads have ended: a scrape gives up what of theirs is still in flight.
    stage.agent.scrape()?;
    let after = stage.moment()?;
    let change = Change::between(&before, &after);
    ensure!(done.pages >= wanted, "{} pages were pinned", done.pages);
    figures.note(format!(
        "{} pages by {} in {:.1} s",
        done.pages,
        plan.by.name(),
        done.took.as_secs_f64()
    ));
    figures.equal("nr_foll_pin_acquired", done.pages, change.pins.acquired);
    figures.equal(
        &format!("{symbol} calls by the kernel"),
        done.calls,
        change.hits(symbol),
    );
    let counted = change.agent.of("daxscope_gup_pages_total", &SYSTEM);
    // What was left out of a preempted fentry program is in the kernel's word, all else in the agent's.
    let lost = if stage.preempted(&change) {
        change.left_out(symbol, "return")
    } else {
        change.lost()
    };
    figures.equal(
        &format!("{counted} pages counted, and {lost} calls said to be lost, unaccounted"),
        0,
        i128::from(change.pins.acquired) - i128::from(counted + lost * plan.per_call),
    );
    Ok(())
}
