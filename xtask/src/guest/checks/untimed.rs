//! `run --no-latency`: the same counts, and no durations.

use anyhow::Result;

use super::stage::Stage;
use super::{LISTEN, Scope, crossings};
use crate::guest::agent::Agent;
use crate::guest::oracle::{GUP, Hits};
use crate::guest::report::{Figures, Report};

pub fn all(report: &mut Report) {
    for mechanism in ["fentry", "kprobe"] {
        report.check(&format!("untimed/{mechanism}"), |figures| {
            counts(figures, mechanism)
        });
    }
}

fn counts(figures: &mut Figures, mechanism: &str) -> Result<()> {
    let options = ["--no-latency", "--mechanism", mechanism];
    let agent = Agent::start(&options, LISTEN)?;
    let hits = Hits::watch(GUP.iter().map(|(symbol, ..)| *symbol))?;
    let stage = Stage::new(mechanism, &agent, &hits, Scope::Brief, true);
    crossings::nested(figures, &stage)?;
    let scrape = agent.scrape()?;
    let timed = scrape.series("daxscope_gup_duration_seconds_count", &[]);
    figures.equal("histograms of requests", 0, timed.count());
    figures.equal("lost", 0, scrape.total("daxscope_lost_total", &[]));
    Ok(())
}
