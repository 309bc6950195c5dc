//! A process that takes long-term pins and keeps them, as a driver with registered buffers does.
//!
//! It says `held` once it has them, and keeps them until it is told a line or killed.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::command;
use super::hand::{Registered, ring};
use crate::guest::region::PAGE;

/// The name by which others must find it: what `/proc/PID/comm` says.
pub const COMM: &str = "keeps-pins";

// include/uapi/linux/if_xdp.h
const SOL_XDP: i32 = 283;
const XDP_UMEM_REG: i32 = 4;

/// What makes the kernel keep long-term pins for a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Keep {
    /// A registered `io_uring` buffer. 5.10 and 6.1 refuse device-dax memory.
    #[value(name = "io_uring")]
    IoUring,
    /// The packet memory of an `AF_XDP` socket: every kernel takes device-dax memory (`net/xdp/xdp_umem.c`).
    #[value(name = "xdp")]
    Xdp,
}

impl Keep {
    fn name(self) -> &'static str {
        match self {
            Keep::IoUring => "io_uring",
            Keep::Xdp => "xdp",
        }
    }
}

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(long, value_enum)]
    by: Keep,
    /// `system`, or a device such as /dev/dax0.0
    #[arg(long)]
    from: String,
    #[arg(long)]
    pages: u64,
}

/// `xtask guest hold`.
pub fn main(args: &Args) -> Result<()> {
    // SAFETY: the name ends in a zero byte and is shorter than the 16 bytes that the kernel takes.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"keeps-pins".as_ptr()) };
    let memory = command::memory_of(&args.from, args.pages)?;
    let (start, bytes) = (memory.at(0), args.pages * PAGE);
    let ring = ring()?;
    let (mut buffer, mut socket) = (None, None);
    match args.by {
        Keep::IoUring => buffer = Some(Registered::new(&ring, start, bytes).context("io_uring")?),
        Keep::Xdp => socket = Some(packet_memory(start, bytes)?),
    }
    let mut out = std::io::stdout();
    writeln!(out, "held").and_then(|()| out.flush())?;
    std::io::stdin().read_line(&mut String::new())?;
    drop((buffer, socket));
    Ok(())
}

fn packet_memory(start: *mut u8, bytes: u64) -> Result<OwnedFd> {
    // SAFETY: no pointers.
    let socket = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    ensure!(socket >= 0, "AF_XDP: {}", std::io::Error::last_os_error());
    // SAFETY: the kernel just gave us this descriptor.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // struct xdp_umem_reg { u64 addr, len; u32 chunk_size, headroom, flags, tx_metadata_len; }
    let registration = [start as u64, bytes, PAGE, 0];
    let length = libc::socklen_t::try_from(size_of_val(&registration))?;
    // SAFETY: the option's value is `length` bytes long; the kernel checks the range that it names.
    let rc = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            SOL_XDP,
            XDP_UMEM_REG,
            registration.as_ptr().cast(),
            length,
        )
    };
    ensure!(rc == 0, "XDP_UMEM_REG: {}", std::io::Error::last_os_error());
    Ok(socket)
}

/// Such a process, which has its pins.
pub struct Holder {
    child: Child,
    ask: ChildStdin,
}

impl Holder {
    pub fn start(by: Keep, from: &Path, pages: u64) -> Result<Holder> {
        let own = std::env::current_exe().context("cannot find this program's own file")?;
        let mut child = Command::new(own)
            .args(["guest", "hold", "--by", by.name(), "--from"])
            .arg(from)
            .args(["--pages", &pages.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the holding process")?;
        let ask = child.stdin.take().context("no standard input")?;
        let mut said = BufReader::new(child.stdout.take().context("no standard output")?);
        let holder = Holder { child, ask };
        let mut line = String::new();
        said.read_line(&mut line)?;
        ensure!(line.trim() == "held", "the holding process said {line:?}");
        Ok(holder)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Let it give its pins back and end.
    pub fn release(mut self) -> Result<()> {
        writeln!(self.ask).context("cannot speak to the holding process")?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the holding process ended with {status}");
        Ok(())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Already gone in the good case; both fail then, and nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
