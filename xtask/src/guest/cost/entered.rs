//! Where a call goes on this kernel: asked of the kernel's own counters.

use anyhow::{Context, Result, ensure};

use super::added;
use super::work::Work;
use crate::guest::oracle::{self, Hits};

/// Ways into GUP (mm/gup.c).
pub const GUP: [&str; 4] = [
    "get_user_pages_fast",
    "pin_user_pages_fast",
    "pin_user_pages",
    "pin_user_pages_remote",
];

/// Ways to give a pin back, the innermost first: static, and on some kernels inlined into the others.
pub const UNPIN: [&str; 4] = [
    "gup_put_folio",
    "unpin_user_page",
    "unpin_user_pages",
    "unpin_user_folio",
];

/// The first of these that every call of this work enters.
pub fn by(work: &Work, functions: &[&'static str]) -> Result<&'static str> {
    let hits = Hits::watch(functions.iter().copied())?;
    let before = hits.read()?;
    let measured = work.measure();
    let called = oracle::since(&hits.read()?, &before);
    drop(hits);
    added::rest();
    let made = measured?.calls;
    ensure!(made > 0, "no call was made");
    let mut entered = functions.iter().copied();
    entered
        .find(|function| called.get(*function).is_some_and(|calls| *calls >= made))
        .with_context(|| format!("these calls enter none of {}", functions.join(", ")))
}
