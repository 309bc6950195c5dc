//! Whether all functions that give pins back go through one, so that watching that one is enough: a third of the cost. The
//! compiler may have copied it into any of them (gcc did on 7.3), which their machine code tells.

use anyhow::{Context as _, Result, ensure};

use crate::{
    inventory::Survey,
    kernel::{Kernel, code, symbols::Traceable},
    probes::gup,
};

/// A function that others were written to call in a loop, in place of the one that it calls itself (mm/gup.c of 5.10).
const BETWEEN: &str = "unpin_user_page";
/// No such function is longer; in bytes.
const LONGEST: u64 = 1 << 12;

/// Checks that each of the kernel's functions that give pins back calls the first that there is of [`gup::RELEASE`].
///
/// # Errors
/// Why that is not so, or cannot be told.
pub fn check(kernel: &Kernel, survey: &mut Survey) -> Result<&'static str> {
    ensure!(
        cfg!(target_arch = "x86_64"),
        "machine code is read on x86-64 only"
    );
    let there = |name: &&str| kernel.symbols.traceable(name) != Traceable::Absent;
    let funnel = gup::RELEASE.iter().copied().find(there);
    let funnel = funnel.context("the kernel lists no function that all others could go through")?;
    let addresses = kernel.symbols.addresses.as_ref();
    let addresses = addresses.map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let into = addresses.of(funnel)?;
    let others = gup::releases();
    for name in others
        .into_iter()
        .filter(|name| !gup::RELEASE.contains(name))
    {
        if !there(&name) {
            continue;
        }
        let extent = addresses.extent(name);
        let extent = extent.with_context(|| format!("cannot tell how long {name} is"))?;
        ensure!(
            extent.end - extent.start <= LONGEST,
            "{name} is longer than {LONGEST} bytes"
        );
        let code = survey.memory(extent.clone())?;
        let between = addresses.of(BETWEEN).ok().filter(|_| name != BETWEEN);
        ensure!(
            code::calls(&code, extent.start, into)
                || between.is_some_and(|between| code::calls(&code, extent.start, between)),
            "the compiler has copied {funnel} into {name}"
        );
    }
    Ok(funnel)
}
