//! The values of an array map in our address space: read and written without a system call.

use std::{
    ffi::c_int,
    os::fd::{AsFd as _, AsRawFd as _},
    ptr::NonNull,
};

use anyhow::{Context as _, Result, ensure};
use aya::maps::MapData;

/// The values of an array that was made to be mapped (`BPF_F_MMAPABLE`, Linux 5.5).
pub struct Mapping<T> {
    values: NonNull<T>,
    len: usize,
}

// SAFETY: plain memory that belongs to no thread.
unsafe impl<T: Send> Send for Mapping<T> {}
// SAFETY: as above; what the kernel changes meanwhile is read as atomics, or not while a program runs.
unsafe impl<T: Sync> Sync for Mapping<T> {}

impl<T> Mapping<T> {
    /// Maps all values of an array of `len`.
    ///
    /// # Errors
    /// When the kernel refuses: no such array, or a smaller one.
    ///
    /// # Safety
    /// Any bytes are a `T`, and it has the size of a value, a multiple of 8 bytes.
    pub unsafe fn of(map: &MapData, len: usize, writable: bool) -> Result<Self> {
        let write: c_int = if writable { libc::PROT_WRITE } else { 0 };
        // SAFETY: a new mapping at a place of the kernel's choice, within the map's values.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len * size_of::<T>(),
                libc::PROT_READ | write,
                libc::MAP_SHARED,
                map.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        ensure!(address != libc::MAP_FAILED, std::io::Error::last_os_error());
        let values = NonNull::new(address.cast()).context("mapped at address 0")?;
        Ok(Self { values, len })
    }

    /// The values. What programs change meanwhile must be atomics.
    pub fn get(&self) -> &[T] {
        // SAFETY: mapped as long as we live; who made this vouched for the type.
        unsafe { std::slice::from_raw_parts(self.values.as_ptr(), self.len) }
    }
}

impl<T> Drop for Mapping<T> {
    fn drop(&mut self) {
        // SAFETY: mapped by us with this length, and no reference outlives us.
        unsafe { libc::munmap(self.values.as_ptr().cast(), self.len * size_of::<T>()) };
    }
}
