//! Requests that the kernel refuses, in whole or in part.

use anyhow::Result;

use super::Scope;
use super::stage::{Change, Stage};
use crate::guest::pin::{Memory, vm_readv_errno, vmsplice_errno};
use crate::guest::region::PAGE;
use crate::guest::report::{Figures, Report};

const REQUESTS: u64 = 25;

pub fn all(report: &mut Report, stage: &Stage) {
    if stage.scope == Scope::Brief {
        return;
    }
    report.check(
        &format!("errors/{}-remote-unmapped", stage.mechanism),
        |figures| {
            let hole = Hole::of(4)?;
            refused(
                figures,
                stage,
                "pin_user_pages_remote",
                ["pin", "remote"],
                || Ok(vm_readv_errno(hole.start, 4 * PAGE)),
            )
        },
    );
    report.check(
        &format!("errors/{}-fast-unmapped", stage.mechanism),
        |figures| {
            let hole = Hole::of(4)?;
            refused(
                figures,
                stage,
                "get_user_pages_fast",
                ["get", "fast"],
                || vmsplice_errno(hole.start, 4 * PAGE),
            )
        },
    );
    report.check(
        &format!("errors/{}-remote-partial", stage.mechanism),
        |figures| partial(figures, stage),
    );
}

/// Addresses where nothing is mapped, kept free behind a page that is.
struct Hole {
    start: *mut u8,
    _before: Memory,
}

impl Hole {
    fn of(pages: u64) -> Result<Hole> {
        let mut memory = Memory::anonymous(1 + pages)?;
        let start = memory.at(1);
        memory.cut(1)?;
        Ok(Hole {
            start,
            _before: memory,
        })
    }
}

fn refused(
    figures: &mut Figures,
    stage: &Stage,
    symbol: &str,
    [how, entry]: [&str; 2],
    request: impl Fn() -> Result<Option<i32>>,
) -> Result<()> {
    let before = stage.moment()?;
    for _ in 0..REQUESTS {
        anyhow::ensure!(
            request()? == Some(libc::EFAULT),
            "an unmapped range was not refused with EFAULT"
        );
    }
    let after = stage.moment()?;
    let change = Change::between(&before, &after);
    figures.equal(
        &format!("{symbol} calls by the kernel"),
        REQUESTS,
        change.hits(symbol),
    );
    if change.watched(symbol, figures) {
        let errors = [("how", how), ("errno", "EFAULT")];
        let calls = [("how", how), ("entry", entry), ("geometry", "unknown")];
        let all = [("how", how), ("entry", entry)];
        figures.equal(
            "errors",
            REQUESTS,
            change.agent.of("daxscope_gup_errors_total", &errors),
        );
        figures.equal(
            "calls of unknown geometry",
            REQUESTS,
            change.agent.of("daxscope_gup_calls_total", &calls),
        );
        figures.equal(
            "pages",
            0,
            change.agent.of("daxscope_gup_pages_total", &all),
        );
    }
    Ok(())
}

/// A range of which only the first half is mapped: the kernel grants that half.
fn partial(figures: &mut Figures, stage: &Stage) -> Result<()> {
    let mut memory = Memory::anonymous(8)?;
    let start = memory.at(0);
    memory.cut(4)?;
    let before = stage.moment()?;
    for _ in 0..REQUESTS {
        anyhow::ensure!(
            vm_readv_errno(start, 8 * PAGE).is_none(),
            "a half-mapped range was refused"
        );
    }
    let after = stage.moment()?;
    let change = Change::between(&before, &after);
    figures.equal("nr_foll_pin_acquired", 4 * REQUESTS, change.pins.acquired);
    if change.watched("pin_user_pages_remote", figures) {
        let labels = [("how", "pin"), ("entry", "remote"), ("geometry", "system")];
        figures.equal(
            "calls",
            REQUESTS,
            change.agent.of("daxscope_gup_calls_total", &labels),
        );
        figures.equal(
            "pages",
            4 * REQUESTS,
            change.agent.of("daxscope_gup_pages_total", &labels),
        );
    }
    figures.equal(
        "errors",
        0,
        change.agent.of("daxscope_gup_errors_total", &[]),
    );
    figures.equal(
        "unpinned",
        change.pins.released,
        change.agent.of("daxscope_unpinned_pages_total", &[]),
    );
    Ok(())
}
