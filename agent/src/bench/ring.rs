//! An `io_uring`, as far as registered buffers need one.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    ptr,
};

use anyhow::{Context as _, Result};
use libc::{c_long, c_void, iovec};

// include/uapi/linux/io_uring.h
const REGISTER_BUFFERS: c_long = 0;
const UNREGISTER_BUFFERS: c_long = 1;
const PARAMS_BYTES: usize = 120;

pub struct Ring(OwnedFd);

impl Ring {
    /// # Errors
    /// When the kernel has none, or not for us (`kernel.io_uring_disabled`).
    pub fn new() -> Result<Self> {
        // All zero on entry; nothing of the answer is needed.
        let mut params = [0u64; PARAMS_BYTES / 8];
        // SAFETY: as many bytes as struct io_uring_params has, which outlive the call.
        let fd =
            unsafe { libc::syscall(libc::SYS_io_uring_setup, 1 as c_long, params.as_mut_ptr()) };
        let fd = checked(fd)
            .context("cannot set up an io_uring (see sysctl kernel.io_uring_disabled)")?;
        // SAFETY: a new descriptor, which is ours.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd)?) }))
    }

    /// Registers a buffer, which pins it, and takes it back.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn register(&self, start: *mut u8, bytes: usize) -> io::Result<()> {
        let buffer = iovec {
            iov_base: start.cast(),
            iov_len: bytes,
        };
        self.call(REGISTER_BUFFERS, (&raw const buffer).cast(), 1)?;
        self.call(UNREGISTER_BUFFERS, ptr::null(), 0)
    }

    fn call(&self, operation: c_long, argument: *const c_void, length: c_long) -> io::Result<()> {
        // SAFETY: the argument is null or one iovec that outlives the call; the kernel checks what it names.
        let rc = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                c_long::from(self.0.as_raw_fd()),
                operation,
                argument,
                length,
            )
        };
        checked(rc).map(drop)
    }
}

fn checked(returned: c_long) -> io::Result<c_long> {
    if returned < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(returned)
    }
}
