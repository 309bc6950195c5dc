//! Sessions: what `trace`, `events`, `record` and a daemon say of one workload, which says itself what it was.

mod agree;
mod bench;
mod callers;
mod calls;
mod command;
mod cut;
mod durations;
mod filters;
mod outside;
mod regions;
mod together;
mod workload;

use super::LISTEN;
use crate::guest::report::Report;
use workload::Ground;

pub fn all(report: &mut Report) {
    let mut ground = None;
    report.check("sessions/ground", |figures| {
        let ground = ground.insert(Ground::prepare()?);
        figures.equal("devices", 3, ground.devices.len());
        Ok(())
    });
    let Some(ground) = ground else {
        return;
    };
    report.check("sessions/agree", |figures| agree::all(figures, &ground));
    report.check("sessions/filters", |figures| filters::all(figures, &ground));
    report.check("sessions/together", |figures| {
        together::all(figures, &ground)
    });
    report.check("sessions/callers", |figures| callers::all(figures, &ground));
    report.check("sessions/durations", durations::all);
    report.check("sessions/command", command::tree);
    report.check("sessions/regions", |figures| regions::all(figures, &ground));
    report.check("sessions/bench", |figures| bench::all(figures, &ground));
    report.check("sessions/cut", |figures| cut::all(figures, &ground));
    report.check("sessions/killed", outside::killed);
    report.check("sessions/unprivileged", outside::unprivileged);
    report.check("sessions/ground-gone", |figures| {
        ground.destroy()?;
        figures.equal("devices", 3, ground.devices.len());
        Ok(())
    });
}
