//! Requests that cross a border: from one geometry into another, from one kernel function into another.

use anyhow::{Result, ensure};

use super::pins::landed;
use super::stage::{Change, Stage};
use crate::guest::pin::{self, By, Memory, Piece, Plan};
use crate::guest::region::{Device, PAGE};
use crate::guest::report::Figures;

/// Memory of three geometries one behind the other, and requests over its borders: each page belongs to its own geometry,
/// the call to that of its first page.
struct Patchwork<'a> {
    /// Geometry, pages, device and offset in it.
    pieces: Vec<(&'static str, Piece<'a>)>,
}

/// First page and pages of a request: in the end an unlike middle, heads and tails of compound pages, and ends that are
/// alike with unlike memory between them.
const REQUESTS: [[u64; 2]; 4] = [[412, 762], [612, 542], [1012, 534], [1030, 706]];

impl<'a> Patchwork<'a> {
    fn of(base: &'a Device, compound: &'a Device) -> Result<Patchwork<'a>> {
        let of_compound = compound.asked.bytes / PAGE;
        let system = |pages| {
            (
                "system",
                Piece {
                    pages,
                    device: None,
                    align: PAGE,
                },
            )
        };
        let of = |device: &'a Device, pages, offset| -> Result<_> {
            let piece = Piece {
                pages,
                device: Some((&*device.path, offset)),
                align: device.asked.bytes,
            };
            Ok((device.geometry()?.name, piece))
        };
        Ok(Patchwork {
            pieces: vec![
                system(of_compound),
                of(compound, of_compound, 0)?,
                of(base, 100, 0)?,
                system(of_compound - 100),
                of(compound, of_compound, compound.asked.bytes)?,
            ],
        })
    }

    fn memory(&self) -> Result<Memory> {
        let pieces: Vec<Piece> = self.pieces.iter().map(|(_, piece)| *piece).collect();
        Memory::patchwork(&pieces)
    }

    /// How many of these pages are of a geometry.
    fn pages(&self, geometry: &str, [first, pages]: [u64; 2]) -> u64 {
        let (mut at, mut sum) = (0, 0);
        for (name, piece) in &self.pieces {
            let end = (at + piece.pages).min(first + pages);
            let of = end.saturating_sub(at.max(first));
            sum += if *name == geometry { of } else { 0 };
            at += piece.pages;
        }
        sum
    }
}

/// Requests over borders, by two system calls: a short one that everybody takes, and a registration of all of it.
pub fn mixed(figures: &mut Figures, stage: &Stage, base: &Device, compound: &Device) -> Result<()> {
    let patchwork = Patchwork::of(base, compound)?;
    let memory = patchwork.memory()?;
    for request in REQUESTS {
        one_mixed(
            figures,
            stage,
            &patchwork,
            By::ProcessVmReadv,
            request,
            || {
                let [first, pages] = request;
                let errno = pin::vm_readv_errno(memory.at(first), pages * PAGE);
                ensure!(errno.is_none(), "refused with errno {errno:?}");
                Ok(())
            },
        )?;
    }
    if pin::register_errno(memory.at(0), memory.pages() * PAGE)?.is_some() {
        // 5.10 and 6.1 refuse device-dax memory; `pins` asserts the errno.
        return Ok(());
    }
    let all = [0, memory.pages()];
    one_mixed(figures, stage, &patchwork, By::IoUring, all, || {
        let errno = pin::register_errno(memory.at(0), memory.pages() * PAGE)?;
        ensure!(errno.is_none(), "refused with errno {errno:?}");
        Ok(())
    })
}

fn one_mixed(
    figures: &mut Figures,
    stage: &Stage,
    patchwork: &Patchwork,
    by: By,
    request: [u64; 2],
    make: impl Fn() -> Result<()>,
) -> Result<()> {
    let times = 25;
    let before = stage.moment()?;
    for _ in 0..times {
        make()?;
    }
    let after = stage.moment()?;
    let change = Change::between(&before, &after);
    let (symbol, how, entry) = landed(by, &change)?;
    figures.note(format!("{} of pages {request:?}", by.name()));
    if !change.watched(symbol, figures) || stage.preempted(&change) {
        return Ok(());
    }
    for geometry in ["system", "4K", "2M"] {
        let pages = times * patchwork.pages(geometry, request);
        let first = patchwork.pages(geometry, [request[0], 1]);
        let of = [("how", how), ("entry", entry), ("geometry", geometry)];
        figures.equal(
            &format!("pages of {geometry}"),
            pages,
            change.agent.of("daxscope_gup_pages_total", &of),
        );
        figures.equal_quietly(
            &format!("calls of {geometry}"),
            times * first,
            change.agent.of("daxscope_gup_calls_total", &of),
        );
        // What io_uring gives back at once, and what the slow path took before, are counted as unpinned too.
        if by == By::ProcessVmReadv {
            let of = [("geometry", geometry)];
            let unpinned = change.agent.of("daxscope_unpinned_pages_total", &of);
            figures.equal_quietly(&format!("unpinned of {geometry}"), pages, unpinned);
        }
    }
    let sampled = change.agent.of("daxscope_gup_sampled_calls_total", &[]);
    figures.note(format!("{sampled} of {times} calls sampled"));
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
