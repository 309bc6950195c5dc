//! One thread's means of making one kind of pinning request.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::ptr;

use anyhow::{Context, Result, bail};
use libc::{c_long, c_void, iovec};

use super::By;

/// A block device that takes requests and moves no data.
const NULL_BLOCK: &str = "/dev/nullb0";

// include/uapi/linux/io_uring.h
const IORING_REGISTER_BUFFERS: c_long = 0;
const IORING_UNREGISTER_BUFFERS: c_long = 1;
const IO_URING_PARAMS_BYTES: usize = 120;

pub enum Hand {
    ProcessVmReadv,
    IoUring(OwnedFd),
    ODirect(File),
    Vmsplice {
        into: OwnedFd,
        out_of: OwnedFd,
        null: File,
    },
}

impl Hand {
    pub fn ready(by: By) -> Result<Hand> {
        Ok(match by {
            By::ProcessVmReadv => Hand::ProcessVmReadv,
            By::IoUring => Hand::IoUring(ring()?),
            By::ODirect => {
                let opened = OpenOptions::new()
                    .read(true)
                    .custom_flags(libc::O_DIRECT)
                    .open(NULL_BLOCK);
                Hand::ODirect(
                    opened.with_context(|| format!("cannot open {NULL_BLOCK}: load null_blk"))?,
                )
            }
            By::Vmsplice => {
                let (out_of, into) = pipe()?;
                let null = OpenOptions::new()
                    .write(true)
                    .open("/dev/null")
                    .context("cannot open /dev/null")?;
                Hand::Vmsplice { into, out_of, null }
            }
        })
    }

    /// One request for all of `bytes`, released again before it returns. A request granted in part is an error.
    pub fn pin(&self, start: *mut u8, bytes: u64) -> Result<()> {
        let (granted, wanted) = match self {
            // Pages are pinned for the whole remote range, data is copied for the local one: one byte.
            Hand::ProcessVmReadv => (vm_readv(start, bytes), 1),
            Hand::IoUring(ring) => (register(ring, start, bytes), 0),
            Hand::ODirect(file) => (read_direct(file, start, bytes), bytes),
            Hand::Vmsplice { into, out_of, null } => {
                let granted = vmsplice(into, start, bytes);
                if let Ok(granted) = granted {
                    drain(out_of, null, granted)?;
                }
                (granted, bytes)
            }
        };
        match granted {
            Ok(granted) if granted == wanted => Ok(()),
            Ok(granted) => bail!("asked for {wanted} bytes, was granted {granted}"),
            Err(error) => Err(error).context("refused"),
        }
    }

    /// The first half of what an `io_uring` request is: its pages stay pinned until it is taken back.
    pub fn register(ring: &OwnedFd, start: *mut u8, bytes: u64) -> io::Result<Registered<'_>> {
        Registered::new(ring, start, bytes)
    }
}

/// Errno of a read from this process's own range that cannot succeed.
pub fn vm_readv_errno(start: *mut u8, bytes: u64) -> Option<i32> {
    vm_readv(start, bytes)
        .err()
        .and_then(|error| error.raw_os_error())
}

/// Errno of giving this range to a pipe.
pub fn vmsplice_errno(start: *mut u8, bytes: u64) -> Result<Option<i32>> {
    let (_out_of, into) = pipe()?;
    Ok(vmsplice(&into, start, bytes)
        .err()
        .and_then(|error| error.raw_os_error()))
}

/// Errno of registering this range as an `io_uring` buffer, `None` when it works.
pub fn register_errno(start: *mut u8, bytes: u64) -> Result<Option<i32>> {
    Ok(register(&ring()?, start, bytes)
        .err()
        .and_then(|error| error.raw_os_error()))
}

fn vm_readv(start: *mut u8, bytes: u64) -> io::Result<u64> {
    let mut byte = 0u8;
    let local = iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let remote = range(start, bytes);
    // SAFETY: one valid iovec each; the kernel writes at most the one byte of `local`, and checks `remote`.
    count(unsafe {
        libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
    })
}

/// Register one buffer and take it back.
fn register(ring: &OwnedFd, start: *mut u8, bytes: u64) -> io::Result<u64> {
    Registered::new(ring, start, bytes)?.take_back()
}

/// A registered buffer: its pages stay pinned until it is taken back.
pub struct Registered<'a> {
    ring: &'a OwnedFd,
}

impl<'a> Registered<'a> {
    pub fn new(ring: &'a OwnedFd, start: *mut u8, bytes: u64) -> io::Result<Registered<'a>> {
        let buffer = range(start, bytes);
        register_call(ring, IORING_REGISTER_BUFFERS, (&raw const buffer).cast(), 1)?;
        Ok(Registered { ring })
    }

    pub fn take_back(self) -> io::Result<u64> {
        let result = register_call(self.ring, IORING_UNREGISTER_BUFFERS, ptr::null(), 0);
        std::mem::forget(self);
        result
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        // Who wants to know whether it worked calls `take_back`.
        let _ = register_call(self.ring, IORING_UNREGISTER_BUFFERS, ptr::null(), 0);
    }
}

fn register_call(
    ring: &OwnedFd,
    operation: c_long,
    argument: *const c_void,
    length: c_long,
) -> io::Result<u64> {
    // SAFETY: `argument` is null or one iovec that lives through the call; the kernel checks its range.
    count_long(unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            c_long::from(ring.as_raw_fd()),
            operation,
            argument,
            length,
        )
    })
}

fn read_direct(file: &File, start: *mut u8, bytes: u64) -> io::Result<u64> {
    let buffer = range(start, bytes);
    // SAFETY: the kernel checks the range and writes only what is mapped there, memory kept for this.
    count(unsafe { libc::pread(file.as_raw_fd(), buffer.iov_base, buffer.iov_len, 0) })
}

fn vmsplice(into: &OwnedFd, start: *mut u8, bytes: u64) -> io::Result<u64> {
    let buffer = range(start, bytes);
    // SAFETY: one valid iovec; the kernel takes references on the pages and copies nothing.
    count(unsafe {
        libc::vmsplice(
            into.as_raw_fd(),
            &raw const buffer,
            1,
            libc::SPLICE_F_NONBLOCK,
        )
    })
}

/// Empty the pipe into /dev/null, which drops the references.
fn drain(out_of: &OwnedFd, null: &File, bytes: u64) -> Result<()> {
    let mut left = bytes;
    while left > 0 {
        let length = usize::try_from(left)?;
        // SAFETY: two descriptors of our own and no offsets.
        let moved = count(unsafe {
            libc::splice(
                out_of.as_raw_fd(),
                ptr::null_mut(),
                null.as_raw_fd(),
                ptr::null_mut(),
                length,
                0,
            )
        });
        left -= moved.context("cannot empty the pipe")?;
    }
    Ok(())
}

pub fn ring() -> Result<OwnedFd> {
    // The struct is all zero on entry; nothing of the answer is needed to register buffers.
    let mut params = [0u64; IO_URING_PARAMS_BYTES / 8];
    // SAFETY: `params` has the size of struct io_uring_params and outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1 as c_long, params.as_mut_ptr()) };
    let fd = count_long(fd).context("cannot set up an io_uring")?;
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd)?) })
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: room for the two descriptors that the kernel writes.
    let rc = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    count_long(c_long::from(rc)).context("cannot make a pipe")?;
    // SAFETY: both descriptors are new and ours.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

fn range(start: *mut u8, bytes: u64) -> iovec {
    iovec {
        iov_base: start.cast(),
        iov_len: usize::try_from(bytes).expect("the guest is 64-bit"),
    }
}

fn count(returned: isize) -> io::Result<u64> {
    u64::try_from(returned).map_err(|_| io::Error::last_os_error())
}

fn count_long(returned: c_long) -> io::Result<u64> {
    u64::try_from(returned).map_err(|_| io::Error::last_os_error())
}
