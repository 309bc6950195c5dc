//! Pins by each system call from each kind of memory, counted by the driver, the kernel and the agent.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::stage::{Change, Moment, Stage};
use super::{Scope, crossings};
use crate::guest::oracle::GUP;
use crate::guest::pin::{self, By, Done, Memory, Plan, threads};
use crate::guest::region::{Device, PAGE};
use crate::guest::report::{Figures, Report};

/// Pages by `process_vm_readv` from one kind of memory; there are four kinds, so a million in all.
const REMOTE_PAGES: u64 = 1 << 18;

const CALLS: &str = "daxscope_gup_calls_total";
const PAGES: &str = "daxscope_gup_pages_total";

/// Memory to pin from, with the label its pages must get.
struct Source {
    name: &'static str,
    label: &'static str,
    memory: Memory,
    is_device: bool,
}

pub fn all(report: &mut Report, stage: &Stage, devices: &[Device]) {
    let mut remote_pages = 0;
    for origin in std::iter::once(None).chain(devices.iter().map(Some)) {
        let name = origin.map_or("system", |device| device.asked.name);
        for by in By::ALL {
            if stage.scope == Scope::Brief && by != By::ProcessVmReadv {
                continue;
            }
            report.check(
                &format!("pins/{}-{}-{name}", stage.mechanism, by.name()),
                |figures| {
                    let source = Source::of(origin)?;
                    let pages = counted(figures, stage, by, &source)?;
                    remote_pages += if by == By::ProcessVmReadv { pages } else { 0 };
                    Ok(())
                },
            );
        }
    }
    if stage.scope == Scope::Full {
        report.check(&format!("pins/{}-nested", stage.mechanism), |figures| {
            crossings::nested(figures, stage)
        });
        if let [base, compound, ..] = devices {
            report.check(&format!("pins/{}-mixed", stage.mechanism), |figures| {
                crossings::mixed(figures, stage, base, compound)
            });
        }
        if !stage.quick {
            report.check(&format!("pins/{}-million", stage.mechanism), |figures| {
                figures.holds(
                    &format!("{remote_pages} pages by process_vm_readv"),
                    remote_pages >= 1_000_000,
                );
                Ok(())
            });
        }
    }
}

impl Source {
    fn of(device: Option<&Device>) -> Result<Source> {
        let pages = threads() * 1024;
        Ok(match device {
            None => Source {
                name: "system",
                label: "system",
                memory: Memory::anonymous(pages)?,
                is_device: false,
            },
            Some(device) => Source {
                name: device.asked.name,
                label: device.geometry()?.name,
                memory: Memory::device(&device.path, device.asked.bytes, pages)?,
                is_device: true,
            },
        })
    }
}

/// Requests of the largest size, of odd ones, and of a single page.
fn plans(by: By, quick: bool) -> Vec<Plan> {
    let part = |pages: u64| if quick { pages / 8 } else { pages };
    let of = |pages, per_call| Plan::of_pages(by, part(pages), per_call, threads());
    match by {
        By::ProcessVmReadv => vec![
            of(REMOTE_PAGES, 1024),
            of(16_000, 16),
            of(14_000, 7),
            of(4_000, 1),
        ],
        By::IoUring => vec![of(32_768, 1024), of(280, 7), of(32, 1)],
        By::ODirect => vec![of(32_768, 256), of(5_000, 5), of(1_000, 1)],
        By::Vmsplice => vec![of(32_000, 16), of(6_000, 3), of(2_000, 1)],
    }
}

/// One system call from one kind of memory. Returns the pages that were pinned.
fn counted(figures: &mut Figures, stage: &Stage, by: By, source: &Source) -> Result<u64> {
    if by == By::IoUring {
        let refused = pin::register_errno(source.memory.at(0), PAGE)?;
        if let Some(errno) = refused {
            return refused_register(figures, stage, source, errno).map(|()| 0);
        }
    }
    let (done, before, after) =
        pin::run(&plans(by, stage.quick), &source.memory, || stage.moment())?;
    let change = Change::between(&before, &after);

    let (symbol, how, entry) = landed(by, &change)?;
    figures.note(format!(
        "{} in {:.1} s by {} threads",
        by.name(),
        done.took.as_secs_f64(),
        threads()
    ));
    figures.equal(
        &format!("{symbol} calls by the kernel"),
        done.calls,
        change.hits(symbol),
    );
    let lost = change.lost();
    let labels = [("how", how), ("entry", entry), ("geometry", source.label)];
    if !change.watched(symbol, figures) {
        // Its reason is among the figures now.
    } else if lost > 0 && change.mechanism(symbol) == "kprobe" {
        missed(figures, stage, done, &before, &labels)?;
    } else if stage.preempted(&change) {
        let counted = change.agent.of(CALLS, &labels);
        left_out(figures, done, counted, change.left_out(symbol, "return"));
        figures.holds(
            &format!("the reason is exported: {:?}", change.reason(symbol)),
            change.reason(symbol).contains("preempts itself"),
        );
    } else {
        let of = [("how", how), ("geometry", source.label)];
        let durations = change.agent.of("daxscope_gup_duration_seconds_count", &of);
        figures.equal("calls", done.calls, change.agent.of(CALLS, &labels));
        figures.equal("pages", done.pages, change.agent.of(PAGES, &labels));
        figures.equal("durations", done.calls, durations);
        // Nothing counted twice, under another entry point or another geometry.
        let all = [("how", how)];
        figures.equal(
            "calls of all entries",
            done.calls,
            change.agent.of(CALLS, &all),
        );
        figures.equal(
            "pages of all entries",
            done.pages,
            change.agent.of(PAGES, &all),
        );
        figures.equal("lost", 0, lost);
    }
    let pinned = if how == "pin" { done.pages } else { 0 };
    if by == By::IoUring && source.is_device && change.pins.acquired > pinned {
        // Long-term pins may not take device pages without the lock: the fast path gives back what it took
        // (gup_fast_folio_allowed, mm/gup.c), and the kernel's counters show both.
        figures.note(format!(
            "{} more were taken and given back inside the calls",
            change.pins.acquired - pinned
        ));
    } else {
        figures.equal("nr_foll_pin_acquired", pinned, change.pins.acquired);
    }
    unpinned(figures, stage, source, &change);
    Ok(done.pages)
}

/// An fentry program that is preempted keeps its CPU's other tasks from running it (kernel/bpf/trampoline.c,
/// `__bpf_prog_enter_recur`). The kernel counts what it left out, so each call is either counted or said to be missing.
fn left_out(figures: &mut Figures, done: Done, counted: u64, left_out: u64) {
    figures.equal(
        &format!("{counted} calls counted and {left_out} left out, together"),
        done.calls,
        counted + left_out,
    );
}

/// A kretprobe has room for as many returns as CPUs on 5.10, ten or twice the CPUs since (kernel/kprobes.c), and perf
/// cannot ask for more. What sleeps in the kernel beyond that is missed; then the agent must say how much. It sees
/// a miss when the same thread calls again or has ended, which the drivers' threads have by now, or will have shortly.
fn missed(
    figures: &mut Figures,
    stage: &Stage,
    done: Done,
    before: &Moment,
    labels: &[(&str, &str)],
) -> Result<()> {
    let patience = Instant::now() + Duration::from_secs(5);
    loop {
        let after = stage.moment()?;
        let change = Change::between(before, &after);
        let (counted, lost) = (change.agent.of(CALLS, labels), change.lost());
        if counted + lost == done.calls || Instant::now() > patience {
            figures.note("returns were missed for want of kretprobe instances".to_owned());
            figures.equal(
                &format!("{counted} calls counted and {lost} said to be lost, together"),
                done.calls,
                counted + lost,
            );
            return Ok(());
        }
        sleep(Duration::from_millis(100));
    }
}

/// Where a system call landed: which of the entry points it may use was called.
pub fn landed(by: By, change: &Change) -> Result<(&'static str, &'static str, &'static str)> {
    let candidates: &[&str] = match by {
        By::ProcessVmReadv => &["pin_user_pages_remote"],
        By::IoUring => &["pin_user_pages", "pin_user_pages_fast"],
        By::ODirect => &["pin_user_pages_fast", "get_user_pages_fast"],
        By::Vmsplice => &["get_user_pages_fast"],
    };
    let known = GUP
        .iter()
        .copied()
        .filter(|(symbol, ..)| candidates.contains(symbol));
    let most = known.max_by_key(|(symbol, ..)| change.hits(symbol));
    most.filter(|(symbol, ..)| change.hits(symbol) > 0)
        .with_context(|| format!("{} called none of {candidates:?}", by.name()))
}

fn unpinned(figures: &mut Figures, stage: &Stage, source: &Source, change: &Change) {
    figures.equal(
        "nr_foll_pin_released",
        change.pins.acquired,
        change.pins.released,
    );
    let all = change.agent.of("daxscope_unpinned_pages_total", &[]);
    if stage.preempted(change) {
        figures.note(format!("{all} counted as unpinned"));
        return;
    }
    figures.equal("unpinned", change.pins.released, all);
    let labels = [("geometry", source.label)];
    figures.equal(
        "unpinned of the geometry",
        all,
        change.agent.of("daxscope_unpinned_pages_total", &labels),
    );
}

/// Kernels that refuse device-dax as a registered buffer pin all of it first and then give it back.
fn refused_register(
    figures: &mut Figures,
    stage: &Stage,
    source: &Source,
    errno: i32,
) -> Result<()> {
    figures.equal("errno", libc::EOPNOTSUPP, errno);
    figures.holds(
        &format!("{} is device memory", source.name),
        source.is_device,
    );
    let before = stage.moment()?;
    for _ in 0..4 {
        pin::register_errno(source.memory.at(0), 1024 * PAGE)?;
    }
    let after = stage.moment()?;
    let change = Change::between(&before, &after);
    figures.holds(
        &format!("{} pages were pinned all the same", change.pins.acquired),
        change.pins.acquired > 0,
    );
    figures.equal(
        "pages",
        change.pins.acquired,
        change
            .agent
            .of("daxscope_gup_pages_total", &[("how", "pin")]),
    );
    unpinned(figures, stage, source, &change);
    Ok(())
}
