//! One running agent between two readings of everything.

use std::collections::BTreeMap;

use anyhow::Result;

use super::Scope;
use crate::guest::agent::Agent;
use crate::guest::oracle::{self, FollPin, Hits};
use crate::guest::report::Figures;
use crate::guest::scrape::{Delta, Scrape};

pub struct Stage<'a> {
    pub mechanism: &'a str,
    pub agent: &'a Agent,
    pub scope: Scope,
    pub quick: bool,
    hits: &'a Hits,
}

/// The kernel's account and the agent's at one time.
pub struct Moment {
    pub pins: FollPin,
    pub hits: BTreeMap<String, u64>,
    pub vmstat: BTreeMap<String, u64>,
    pub scrape: Scrape,
}

impl<'a> Stage<'a> {
    pub fn new(
        mechanism: &'a str,
        agent: &'a Agent,
        hits: &'a Hits,
        scope: Scope,
        quick: bool,
    ) -> Stage<'a> {
        Stage {
            mechanism,
            agent,
            scope,
            quick,
            hits,
        }
    }

    /// Whether fentry is forced on a kernel that left programs out; `auto` does not use it there.
    pub fn preempted(&self, change: &Change) -> bool {
        self.mechanism == "fentry" && change.agent.of("daxscope_probe_missed_total", &[]) > 0
    }

    pub fn moment(&self) -> Result<Moment> {
        let scrape = self.agent.scrape()?;
        let vmstat = oracle::vmstat()?;
        Ok(Moment {
            pins: FollPin::of(&vmstat)?,
            hits: self.hits.read()?,
            vmstat,
            scrape,
        })
    }
}

/// What happened between two moments.
pub struct Change<'a> {
    pub pins: FollPin,
    pub hits: BTreeMap<String, u64>,
    pub agent: Delta<'a>,
    after: &'a Scrape,
}

impl<'a> Change<'a> {
    pub fn between(before: &'a Moment, after: &'a Moment) -> Change<'a> {
        Change {
            pins: after.pins.since(before.pins),
            hits: oracle::since(&after.hits, &before.hits),
            agent: Delta {
                before: &before.scrape,
                after: &after.scrape,
            },
            after: &after.scrape,
        }
    }

    pub fn hits(&self, symbol: &str) -> u64 {
        self.hits.get(symbol).copied().unwrap_or(0)
    }

    /// Events the agent itself says it lost.
    pub fn lost(&self) -> u64 {
        self.agent.of("daxscope_lost_total", &[])
    }

    /// Runs of a function's programs, at one end of its calls, that the kernel says it left out.
    pub fn left_out(&self, symbol: &str, end: &str) -> u64 {
        let of = [("probe", symbol), ("end", end)];
        self.agent.of("daxscope_probe_missed_total", &of)
    }

    /// Requests of one kind (`pin` or `get`) of which the geometry is known, and their durations, which are not told apart by
    /// entry point.
    pub fn timed(&self, how: &str) -> [u64; 2] {
        let calls = |with: &[(&str, &str)]| self.agent.of("daxscope_gup_calls_total", with);
        let how = ("how", how);
        let known = calls(&[how]) - calls(&[how, ("geometry", "unknown")]);
        let durations = self.agent.of("daxscope_gup_duration_seconds_count", &[how]);
        [known, durations]
    }

    /// What the agent watches a function with, empty if it does not.
    pub fn mechanism(&self, symbol: &str) -> &str {
        let of = [("symbol", symbol)];
        let mut probes = self.after.series("daxscope_probe_attached", &of);
        let attached = probes.find(|(_, value)| *value > 0.0);
        attached
            .and_then(|(labels, _)| labels.get("mechanism"))
            .map_or("", String::as_str)
    }

    /// What the agent has to say of how it watches a function.
    pub fn reason(&self, symbol: &str) -> &str {
        let of = [("symbol", symbol)];
        let mut probes = self.after.series("daxscope_probe_attached", &of);
        probes
            .next()
            .and_then(|(labels, _)| labels.get("reason"))
            .map_or("", String::as_str)
    }

    /// Whether the agent watches a function. If not, its reason becomes a figure: silence would be wrong.
    pub fn watched(&self, symbol: &str, figures: &mut Figures) -> bool {
        let attached = "daxscope_probe_attached";
        if self.after.total(attached, &[("symbol", symbol)]) > 0 {
            return true;
        }
        let reasons: Vec<_> = self
            .after
            .series(attached, &[("symbol", symbol)])
            .chain(self.after.series(attached, &[("probe", symbol)]))
            .filter_map(|(labels, _)| labels.get("reason").cloned())
            .filter(|reason| !reason.is_empty())
            .collect();
        figures.holds(
            &format!("{symbol} is not watched, exported reason {reasons:?}"),
            !reasons.is_empty(),
        );
        false
    }
}
