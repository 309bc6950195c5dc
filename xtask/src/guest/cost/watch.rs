//! Whoever watches while work is measured: started, attached, stopped.

use anyhow::{Result, ensure};

use super::work::Call;
use crate::guest::agent::Agent;

/// What has attached all it wants to, and will be stopped.
pub trait Watch {
    /// Detaches. Calls that it says it counted, if it counts them.
    fn stop(self: Box<Self>) -> Result<Option<u64>>;

    /// An error if it cannot watch such calls on this kernel: what they take then says nothing.
    fn sees(&self, _call: Call) -> Result<()> {
        Ok(())
    }
}

/// `daxscope run` with these options.
pub fn agent(options: &[&str]) -> Result<Agent> {
    Agent::start(options, ([127, 0, 0, 1], 9954).into())
}

/// What the agent may not have lost: then it would not have done all of its work. (Returns of calls that were under way
/// when it came are no loss of these.)
const NOT_LOST: [&str; 5] = [
    "start",
    "missed_return",
    "unreadable",
    "geometry_slots",
    "nesting",
];

impl Watch for Agent {
    fn stop(mut self: Box<Self>) -> Result<Option<u64>> {
        let scrape = self.scrape()?;
        self.signal(libc::SIGTERM)?;
        let status = self.wait()?;
        ensure!(status.success(), "daxscope run ended with {status}");
        for what in NOT_LOST {
            let lost = scrape.total("daxscope_lost_total", &[("what", what)]);
            ensure!(
                lost == 0,
                "daxscope lost {lost} ({what}): its cost is not that of all its work"
            );
        }
        Ok(Some(scrape.total("daxscope_gup_calls_total", &[])))
    }

    fn sees(&self, call: Call) -> Result<()> {
        if call == Call::ProcessVm {
            let symbol = "pin_user_pages_remote";
            let scrape = self.scrape()?;
            let attached = scrape.total("daxscope_probe_attached", &[("symbol", symbol)]);
            ensure!(
                attached > 0,
                "this kernel lets nobody attach to {symbol} in this way"
            );
        }
        Ok(())
    }
}
