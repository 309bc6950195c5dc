//! Requests that cross a border: from one geometry into another, from one kernel function into another.

use anyhow::{Result, ensure};

use super::pins::landed;
use super::stage::{Change, Stage};
use crate::guest::pin::{self, By, Memory, Plan};
use crate::guest::region::{Device, PAGE};
use crate::guest::report::Figures;

/// One request over system memory and device memory: its pages belong to two geometries, the call to the first.
pub fn mixed(figures: &mut Figures, stage: &Stage, device: &Device) -> Result<()> {
    let half = 512;
    let memory = Memory::system_then_device(&device.path, half)?;
    let (system, behind) = (100, 150);
    let requests = 25;
    let before = stage.moment()?;
    for _ in 0..requests {
        let errno = pin::vm_readv_errno(memory.at(half - system), (system + behind) * PAGE);
        ensure!(errno.is_none(), "refused with errno {errno:?}");
    }
    let after = stage.moment()?;
    let change = Change::between(&before, &after);
    figures.equal(
        "nr_foll_pin_acquired",
        requests * (system + behind),
        change.pins.acquired,
    );
    for (label, pages, calls) in [("system", system, requests), ("4K", behind, 0)] {
        let of = [("geometry", label)];
        let pages = requests * pages;
        let unpinned = change.agent.of("daxscope_unpinned_pages_total", &of);
        figures.equal(&format!("unpinned of {label}"), pages, unpinned);
        if change.watched("pin_user_pages_remote", figures) {
            let of = [("how", "pin"), ("entry", "remote"), ("geometry", label)];
            let counted = change.agent.of("daxscope_gup_pages_total", &of);
            figures.equal(&format!("pages of {label}"), pages, counted);
            let counted = change.agent.of("daxscope_gup_calls_total", &of);
            figures.equal(&format!("calls of {label}"), calls, counted);
        }
    }
    Ok(())
}

/// Memory that is not present takes the fast entry points through the slow ones. Up to 6.2 that is another
/// exported function (mm/gup.c, `__gup_longterm_unlocked`), and a request must still count once.
pub fn nested(figures: &mut Figures, stage: &Stage) -> Result<()> {
    for by in [By::Vmsplice, By::ODirect] {
        let plan = Plan {
            by,
            per_call: 4,
            calls: 64,
            threads: 1,
        };
        // So much memory that no call finds what an earlier one has faulted in.
        let memory = Memory::untouched(plan.calls * plan.per_call + plan.per_call)?;
        let (done, before, after) = pin::run(&[plan], &memory, || stage.moment())?;
        let change = Change::between(&before, &after);
        let (symbol, how, entry) = landed(by, &change)?;
        if !change.watched(symbol, figures) {
            continue;
        }
        let inner = change.hits("get_user_pages_unlocked");
        figures.note(format!(
            "{} by {symbol}, which called get_user_pages_unlocked {inner} times",
            by.name()
        ));
        let labels = [("how", how), ("entry", entry)];
        figures.equal(
            "calls",
            done.calls,
            change.agent.of("daxscope_gup_calls_total", &labels),
        );
        figures.equal(
            "pages",
            done.pages,
            change.agent.of("daxscope_gup_pages_total", &labels),
        );
        figures.equal(
            "calls of all entries",
            done.calls,
            change.agent.of("daxscope_gup_calls_total", &[]),
        );
        figures.equal(
            "pages of all entries",
            done.pages,
            change.agent.of("daxscope_gup_pages_total", &[]),
        );
    }
    Ok(())
}
