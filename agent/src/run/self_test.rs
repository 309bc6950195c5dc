//! A known pin, made by ourselves, must be counted: else what is attached measures nothing.

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, bail, ensure};
use daxscope_common::point;
use libc::{c_void, iovec};

use crate::{load::Probes, probes::gup};

const CALLS: u64 = 8;
const PAGES: u64 = 2;

/// A way to have our own pages pinned or got: its point, its name, one call.
type Way = (u32, &'static str, fn(&iovec) -> Result<()>);
const WAYS: [Way; 2] = [
    (
        point::PIN_USER_PAGES_REMOTE,
        "process_vm_readv",
        read_ourselves,
    ),
    (point::GET_USER_PAGES_FAST, "vmsplice", splice),
];

/// Makes calls by the first way whose function is attached, and reads what was counted of it.
///
/// # Errors
/// When none can be made, or fewer were counted; others may pin meanwhile, so more are right too.
pub fn self_test(probes: &Probes) -> Result<String> {
    let attached = |number: &u32| {
        let mut verdicts = probes.verdicts.iter();
        verdicts.any(|verdict| verdict.number == *number && verdict.mechanism.is_some())
    };
    let Some((number, name, call)) = WAYS.iter().find(|(number, ..)| attached(number)) else {
        bail!("no function is attached that this process can reach by a call of its own");
    };
    // SAFETY: asks for a number.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })?;
    let mut memory = vec![1u8; page * (usize::try_from(PAGES)? + 1)];
    let start = memory.as_mut_ptr();
    let range = iovec {
        // The pages that lie whole in it.
        iov_base: start
            .wrapping_add(start.align_offset(page))
            .cast::<c_void>(),
        iov_len: page * usize::try_from(PAGES)?,
    };
    let [calls, pages] = gup::of_entry(probes, *number)?;
    for _ in 0..CALLS {
        call(&range).with_context(|| format!("cannot pin own pages by {name}"))?;
    }
    let [now, now_pages] = gup::of_entry(probes, *number)?;
    let (counted, counted_pages) = (now - calls, now_pages - pages);
    let words = gup::entry_words(*number).unwrap_or_default();
    ensure!(
        counted >= CALLS && counted_pages >= CALLS * PAGES,
        "{CALLS} calls of {PAGES} pages by {name} ({words}) were counted as {counted} calls, {counted_pages} pages"
    );
    Ok(format!(
        "{CALLS} calls of {PAGES} pages by {name} ({words}) were counted"
    ))
}

fn read_ourselves(range: &iovec) -> Result<()> {
    let mut copy = vec![0u8; range.iov_len];
    let local = iovec {
        iov_base: copy.as_mut_ptr().cast(),
        iov_len: copy.len(),
    };
    // SAFETY: both ranges are ours and live until it returns.
    let read = unsafe { libc::process_vm_readv(libc::getpid(), &raw const local, 1, range, 1, 0) };
    ensure!(
        usize::try_from(read) == Ok(range.iov_len),
        "process_vm_readv: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}

fn splice(range: &iovec) -> Result<()> {
    // The pages stay in the pipe until both ends are closed, at the end of this call.
    let (_read, write): (OwnedFd, OwnedFd) = {
        let (read, write) = std::io::pipe()?;
        (read.into(), write.into())
    };
    // SAFETY: the range is ours; nobody reads the pipe.
    let given = unsafe { libc::vmsplice(write.as_raw_fd(), range, 1, libc::SPLICE_F_NONBLOCK) };
    ensure!(
        usize::try_from(given) == Ok(range.iov_len),
        "vmsplice: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}
