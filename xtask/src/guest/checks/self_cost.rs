//! `run --self-cost`: the runs that the kernel counted for the agent's programs are the calls that were made, and it counts
//! no longer than it is asked to.

use std::fs;

use anyhow::{Context, Result};

use super::LISTEN;
use crate::guest::agent::Agent;
use crate::guest::oracle::Hits;
use crate::guest::pin::{self, By, Memory, Plan};
use crate::guest::report::{Figures, Report};
use crate::guest::scrape::Delta;

/// What `process_vm_readv` calls, once each time.
const SYMBOL: &str = "pin_user_pages_remote";
const PLAN: Plan = Plan {
    by: By::ProcessVmReadv,
    per_call: 1,
    calls: 10_000,
    threads: 1,
};
const RUNS: &str = "daxscope_program_runs_total";
const SECONDS: &str = "daxscope_program_run_seconds_total";

pub fn all(report: &mut Report) {
    for mechanism in ["auto", "kprobe"] {
        report.check(&format!("self-cost/{mechanism}"), |figures| {
            asked_for(figures, mechanism)
        });
    }
    report.check("self-cost/not-asked-for", not_asked_for);
}

fn asked_for(figures: &mut Figures, mechanism: &str) -> Result<()> {
    let agent = Agent::start(&["--self-cost", "--mechanism", mechanism], LISTEN)?;
    let hits = Hits::watch([SYMBOL])?;
    let memory = Memory::anonymous(1)?;
    let moment = || anyhow::Ok((agent.scrape()?, hits.read()?));
    let (done, before, after) = pin::run(&[PLAN], &memory, moment)?;
    figures.equal("calls", PLAN.calls, done.calls);
    let count = |hits: &std::collections::BTreeMap<String, u64>| hits.get(SYMBOL).copied();
    let calls = count(&after.1)
        .zip(count(&before.1))
        .map(|(after, before)| after - before);
    figures.equal(
        &format!("{SYMBOL} calls by the kernel"),
        done.calls,
        calls.unwrap_or(0),
    );
    let change = Delta {
        before: &before.0,
        after: &after.0,
    };
    let by = after
        .0
        .series("daxscope_probe_attached", &[("symbol", SYMBOL)]);
    let by = by.map(|(labels, _)| labels["mechanism"].clone()).next();
    let programs = match by.as_deref() {
        Some("fentry") => [("fentry", "entry"), ("fexit", "return")],
        Some("kprobe") => [("kprobe", "entry"), ("kretprobe", "return")],
        other => anyhow::bail!("{SYMBOL} is watched by {other:?}"),
    };
    for (kind, end) in programs {
        let program = format!("{kind}_{SYMBOL}");
        let of = [("program", program.as_str())];
        let missed = [("probe", SYMBOL), ("end", end)];
        let missed = change.of("daxscope_probe_missed_total", &missed);
        let runs = change.of(RUNS, &of);
        figures.equal(
            &format!("{program}: {runs} runs and {missed} left out, together"),
            done.calls,
            runs + missed,
        );
        let seconds = |scrape: &crate::guest::scrape::Scrape| scrape.value(SECONDS, &of);
        let spent = seconds(&after.0).zip(seconds(&before.0));
        let spent = spent.map_or(0.0, |(after, before)| after - before);
        #[expect(clippy::cast_precision_loss, reason = "ten thousand")]
        let each = spent * 1e9 / runs as f64;
        figures.holds(&format!("{program}: {each:.0} ns a run"), each > 0.0);
    }
    Ok(())
}

/// Statistics are of the whole kernel while somebody has them on: another agent's programs show whether they are.
fn not_asked_for(figures: &mut Figures) -> Result<()> {
    let plain = Agent::start(&[], LISTEN)?;
    let scrape = plain.scrape()?;
    figures.holds(
        "nothing is exported without the flag",
        !scrape.text.contains("daxscope_program_"),
    );
    let memory = Memory::anonymous(1)?;
    let work = || pin::run(&[PLAN], &memory, || Ok(()));
    work()?;
    figures.equal("runs counted with nobody asking", 0, runs(plain.pid())?);
    let mut other = LISTEN;
    other.set_port(LISTEN.port() + 1);
    let asking = Agent::start(&["--self-cost"], other)?;
    work()?;
    let counted = runs(plain.pid())?;
    figures.holds(
        &format!("{counted} runs counted while another agent asks"),
        counted >= PLAN.calls,
    );
    asking.signal(libc::SIGTERM)?;
    let mut asking = asking;
    asking.wait()?;
    let then = runs(plain.pid())?;
    work()?;
    figures.equal("runs counted after it has ended", then, runs(plain.pid())?);
    Ok(())
}

/// Runs of all programs that a process holds, as `bpf_prog_show_fdinfo` (kernel/bpf/syscall.c) shows them.
fn runs(pid: u32) -> Result<u64> {
    let mut sum = 0;
    let folder = format!("/proc/{pid}/fdinfo");
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))? {
        // One that was closed since is no program.
        let text = fs::read_to_string(entry?.path()).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("run_cnt:"));
        sum += count.map_or(Ok(0), |count| count.trim().parse::<u64>())?;
    }
    Ok(sum)
}
