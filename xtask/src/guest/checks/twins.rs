//! Two agents at once: neither takes anything from the other.

use std::net::SocketAddr;

use anyhow::Result;

use super::LISTEN;
use super::truth::{self, Known};
use crate::guest::agent::Agent;
use crate::guest::pin::{self, By, Memory, Plan, threads};
use crate::guest::region::{Device, GEOMETRIES, Map, Namespaces, Wanted};
use crate::guest::report::{Figures, Report};
use crate::guest::scrape::Delta;

pub fn all(report: &mut Report) {
    report.check("twins/agree", agree);
}

fn agree(figures: &mut Figures) -> Result<()> {
    let namespaces = Namespaces::find()?;
    let make = |at: usize, geometry: usize| {
        Device::create(
            &namespaces.small[at],
            Wanted::devdax(GEOMETRIES[geometry], Map::Mem),
        )
    };
    let (stays, goes) = (make(0, 1)?, make(1, 0)?);
    let second = SocketAddr::new(LISTEN.ip(), LISTEN.port() + 1);
    let agents = [Agent::start(&[], LISTEN)?, Agent::start(&[], second)?];
    let scrapes = || -> Result<_> { Ok([agents[0].scrape()?, agents[1].scrape()?]) };
    goes.unbind()?;
    goes.bind()?;
    let memory = Memory::device(&stays.path, stays.asked.bytes, threads() * 1024)?;
    let plan = Plan::of_pages(By::ProcessVmReadv, 100_000, 1000, threads());
    let (done, before, after) = pin::run(&[plan], &memory, scrapes)?;
    for (number, (before, after)) in before.iter().zip(&after).enumerate() {
        let known = [(&stays, Known::Before), (&goes, Known::Watched)];
        truth::compare(figures, after, &known)?;
        let change = Delta { before, after };
        let pins = [("how", "pin")];
        // What a kretprobe of one misses, it says; on all kernels of the matrix two agents have seen all so far.
        let lost = change.of("daxscope_lost_total", &[]);
        figures.equal(
            &format!("agent {number}: calls, {lost} lost"),
            done.calls,
            change.of("daxscope_gup_calls_total", &pins) + lost,
        );
        figures.equal(
            &format!("agent {number}: pages"),
            done.pages - lost * plan.per_call,
            change.of("daxscope_gup_pages_total", &pins),
        );
    }
    drop(memory);
    drop(agents);
    stays.destroy()?;
    goes.destroy()
}
