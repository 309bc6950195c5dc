//! Threads that sit inside get-user-pages for as long as one likes: each pins a page of a range that a userfaultfd
//! watches, and nobody fills the page (`handle_userfault`, fs/userfaultfd.c).
//!
//! A process of its own, so that it can be killed as it is. It speaks by lines: `parked` when all threads sit, then it
//! waits for a line, fills the pages, and says `done` when all calls have returned.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Barrier;

use anyhow::{Context, Result, bail, ensure};
use libc::c_ulong;

use super::hand::Hand;
use super::{By, Memory};
use crate::guest::region::PAGE;

// include/uapi/linux/userfaultfd.h; x86-64 ioctl numbers
const UFFD_API: u64 = 0xaa;
const UFFDIO_API: c_ulong = 0xc018_aa3f;
const UFFDIO_REGISTER: c_ulong = 0xc020_aa00;
const UFFDIO_COPY: c_ulong = 0xc028_aa03;
const UFFDIO_REGISTER_MODE_MISSING: u64 = 1;
/// `sizeof(struct uffd_msg)`
const MESSAGE_BYTES: usize = 32;
/// Where in it `arg.pagefault.address` is, in bytes.
const ADDRESS: usize = 16;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// System call whose thread sits in the kernel
    #[arg(long, value_enum)]
    by: By,
    #[arg(long)]
    threads: u64,
}

/// `xtask guest park`.
pub fn main(args: &Args) -> Result<()> {
    allow_files(args.threads * 4 + 64)?;
    let memory = Memory::untouched(args.threads)?;
    let faults = watched(&memory)?;
    let hands = (0..args.threads)
        .map(|_| Hand::ready(args.by))
        .collect::<Result<Vec<_>>>()?;
    // They end together, after `done`: the end of a thread takes references itself.
    let end = Barrier::new(hands.len() + 1);
    std::thread::scope(|scope| {
        for (thread, hand) in (0..).zip(&hands) {
            let (memory, end) = (&memory, &end);
            std::thread::Builder::new()
                .stack_size(64 << 10)
                .spawn_scoped(scope, move || {
                    let pinned = hand.pin(memory.at(thread), PAGE);
                    end.wait();
                    pinned
                })
                .context("cannot start a thread")?;
        }
        arrived(&faults, args.threads)?;
        say("parked")?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        for page in 0..args.threads {
            fill(&faults, &memory, page)?;
        }
        end.wait();
        say("done")
    })
}

/// A hand may hold three descriptors, and 1024 is all that a process gets unasked.
fn allow_files(most: u64) -> Result<()> {
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: the kernel reads one struct that lives through the call.
    let rc = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) };
    ensure!(rc == 0, "setrlimit: {}", std::io::Error::last_os_error());
    Ok(())
}

fn say(word: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{word}").and_then(|()| out.flush())?;
    Ok(())
}

/// A userfaultfd for all of the memory.
pub fn watched(memory: &Memory) -> Result<OwnedFd> {
    // SAFETY: no pointer; the kernel returns a new descriptor or an error.
    let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
    ensure!(fd >= 0, "userfaultfd: {}", std::io::Error::last_os_error());
    // SAFETY: the kernel just gave us this descriptor.
    let faults = unsafe { OwnedFd::from_raw_fd(i32::try_from(fd)?) };
    // struct uffdio_api { api, features, ioctls }
    control(&faults, UFFDIO_API, &mut [UFFD_API, 0, 0])?;
    // struct uffdio_register { start, len, mode, ioctls }
    let (start, length) = (memory.at(0) as u64, memory.pages() * PAGE);
    let mut register = [start, length, UFFDIO_REGISTER_MODE_MISSING, 0];
    control(&faults, UFFDIO_REGISTER, &mut register)?;
    Ok(faults)
}

/// A message comes for each thread that has gone to sleep on its page; another one if something wakes it in between, as a
/// late wake-up of a lock that it waited for does (`handle_userfault` does not wait in a loop). So pages are counted.
pub fn arrived(faults: &OwnedFd, threads: u64) -> Result<()> {
    let mut messages = std::fs::File::from(faults.try_clone()?);
    let mut pages = HashSet::new();
    while (pages.len() as u64) < threads {
        let mut message = [0; MESSAGE_BYTES];
        messages
            .read_exact(&mut message)
            .context("cannot read from the userfaultfd")?;
        let address: [u8; 8] = std::array::from_fn(|byte| message[ADDRESS + byte]);
        pages.insert(u64::from_ne_bytes(address) / PAGE);
    }
    Ok(())
}

pub fn fill(faults: &OwnedFd, memory: &Memory, page: u64) -> Result<()> {
    let source = vec![1u8; usize::try_from(PAGE)?];
    // struct uffdio_copy { dst, src, len, mode, copy }
    let (to, from) = (memory.at(page) as u64, source.as_ptr() as u64);
    control(faults, UFFDIO_COPY, &mut [to, from, PAGE, 0, 0])
}

fn control(faults: &OwnedFd, request: c_ulong, argument: &mut [u64]) -> Result<()> {
    // SAFETY: `argument` is as large as the request's struct, which the kernel reads and writes.
    let rc = unsafe { libc::ioctl(faults.as_raw_fd(), request, argument.as_mut_ptr()) };
    ensure!(
        rc == 0,
        "userfaultfd, request {request:#x}: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}

/// Such a process, all of whose threads sit in the kernel.
pub struct Parked {
    child: Child,
    ask: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Parked {
    pub fn start(by: By, threads: u64) -> Result<Parked> {
        let own = std::env::current_exe().context("cannot find this program's own file")?;
        let mut child = Command::new(own)
            .args(["guest", "park", "--by", by.name(), "--threads"])
            .arg(threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the parking process")?;
        let ask = child.stdin.take().context("no standard input")?;
        let said = child.stdout.take().context("no standard output")?;
        let mut parked = Parked {
            child,
            ask,
            said: BufReader::new(said),
        };
        parked.hear("parked")?;
        Ok(parked)
    }

    /// Let all calls return. The threads end only after that, when this is dropped at the latest.
    pub fn release(&mut self) -> Result<()> {
        writeln!(self.ask).context("cannot speak to the parking process")?;
        self.hear("done")?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the parking process ended with {status}");
        Ok(())
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, as it is.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn hear(&mut self, word: &str) -> Result<()> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        if line.trim() != word {
            bail!("the parking process said {line:?}, not {word:?}");
        }
        Ok(())
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        // Already gone in the good case; both fail then, and nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_numbers_carry_the_size_of_their_struct() {
        // _IOWR(0xaa, nr, struct): size in bits 16 to 29
        for (request, words) in [(UFFDIO_API, 3), (UFFDIO_REGISTER, 4), (UFFDIO_COPY, 5)] {
            assert_eq!((request >> 16) & 0x3fff, words * 8);
        }
    }
}
