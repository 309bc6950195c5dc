//! A known pin, made by ourselves, must be counted: else what is attached measures nothing.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Result, bail, ensure};
use daxscope_common::point;
use libc::{c_void, iovec};

use crate::{load::Probes, probes::gup};

const CALLS: u64 = 8;
const PAGES: u64 = 2;

/// A way to have our own pages pinned or got: its point, its name, one call.
type Way = (u32, &'static str, fn(&iovec) -> io::Result<()>);
const WAYS: [Way; 2] = [
    (
        point::PIN_USER_PAGES_REMOTE,
        "process_vm_readv",
        read_ourselves,
    ),
    (point::GET_USER_PAGES_FAST, "vmsplice", splice),
];

/// Makes calls by the first way whose function is attached and whose call is let through (containers' profiles leave out one or
/// the other), and reads what was counted of it.
///
/// # Errors
/// When none can be made, or fewer were counted; others may pin meanwhile, so more are right too.
pub fn self_test(probes: &Probes) -> Result<String> {
    let attached = |number: &u32| {
        let mut verdicts = probes.verdicts.iter();
        verdicts.any(|verdict| verdict.number == *number && verdict.mechanism.is_some())
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
    let mut refused = Vec::new();
    for (number, name, call) in WAYS.iter().filter(|(number, ..)| attached(number)) {
        let before = gup::of_entry(probes, *number)?;
        match (0..CALLS).try_for_each(|_| call(&range)) {
            Ok(()) => return counted(probes, *number, name, before),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => {
                refused.push(format!("{name}: {error}"));
            }
            Err(error) => bail!("cannot pin own pages by {name}: {error}"),
        }
    }
    ensure!(
        !refused.is_empty(),
        "no function is attached that this process can reach by a call of its own"
    );
    bail!(
        "no call that pins own pages is let through ({}): allow one in the seccomp profile that this was started under",
        refused.join(", ")
    )
}

/// `before`: calls and pages of this entry before the calls.
fn counted(probes: &Probes, number: u32, name: &str, before: [u64; 2]) -> Result<String> {
    let now = gup::of_entry(probes, number)?;
    let [calls, pages] = [now[0] - before[0], now[1] - before[1]];
    let words = gup::entry_words(number).unwrap_or_default();
    ensure!(
        calls >= CALLS && pages >= CALLS * PAGES,
        "{CALLS} calls of {PAGES} pages by {name} ({words}) were counted as {calls} calls, {pages} pages"
    );
    Ok(format!(
        "{CALLS} calls of {PAGES} pages by {name} ({words}) were counted"
    ))
}

/// The call did all that it was asked, or why not.
fn whole(done: isize, range: &iovec) -> io::Result<()> {
    match usize::try_from(done) {
        Err(_) => Err(io::Error::last_os_error()),
        Ok(bytes) if bytes == range.iov_len => Ok(()),
        Ok(bytes) => Err(io::Error::other(format!("only {bytes} bytes"))),
    }
}

fn read_ourselves(range: &iovec) -> io::Result<()> {
    let mut copy = vec![0u8; range.iov_len];
    let local = iovec {
        iov_base: copy.as_mut_ptr().cast(),
        iov_len: copy.len(),
    };
    // SAFETY: both ranges are ours and live until it returns.
    let read = unsafe { libc::process_vm_readv(libc::getpid(), &raw const local, 1, range, 1, 0) };
    whole(read, range)
}

fn splice(range: &iovec) -> io::Result<()> {
    // The pages stay in the pipe until both ends are closed, at the end of this call.
    let (_read, write): (OwnedFd, OwnedFd) = {
        let (read, write) = io::pipe()?;
        (read.into(), write.into())
    };
    // SAFETY: the range is ours; nobody reads the pipe.
    let given = unsafe { libc::vmsplice(write.as_raw_fd(), range, 1, libc::SPLICE_F_NONBLOCK) };
    whole(given, range)
}
