//! A part of a device, mapped.

use std::{fs::OpenOptions, os::fd::AsRawFd as _, path::Path, ptr};

use anyhow::{Context as _, Result, ensure};

/// Mapped until it is dropped.
pub struct Range {
    start: *mut u8,
    pub bytes: u64,
    pub page_bytes: u64,
    align: u64,
}

impl Range {
    /// The first `bytes` of a device-dax device, which must be a multiple of its alignment.
    ///
    /// # Errors
    /// When it cannot be opened or mapped.
    pub fn map(device: &str, bytes: u64, align: u64, writable: bool) -> Result<Self> {
        let path = Path::new("/dev").join(device);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(writable).open(&path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        let write = if writable { libc::PROT_WRITE } else { 0 };
        // SAFETY: a new mapping, where the kernel likes, touches no other memory. Device-dax can be shared only
        // (check_vma, drivers/dax/device.c).
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                usize::try_from(bytes)?,
                libc::PROT_READ | write,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        let error = std::io::Error::last_os_error();
        ensure!(
            start != libc::MAP_FAILED,
            "cannot map {bytes} bytes of {}: {error}",
            path.display()
        );
        // SAFETY: no pointers.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        Ok(Self {
            start: start.cast(),
            bytes,
            page_bytes: u64::try_from(page).context("no page size")?,
            align,
        })
    }

    /// Reads a byte of each unit that the kernel maps at once, so that no pin has to fault it in.
    pub fn touch(&self) {
        let mut at = 0;
        while at < self.bytes {
            // SAFETY: inside the mapping, which is readable; a volatile read is not left out.
            unsafe { self.at(at).read_volatile() };
            at += self.align;
        }
    }

    /// The address of a byte of it.
    #[must_use]
    pub fn at(&self, byte: u64) -> *mut u8 {
        // What does not fit an address does not fit the mapping either.
        let byte = usize::try_from(byte.min(self.bytes)).unwrap_or(0);
        self.start.wrapping_add(byte)
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        let bytes = usize::try_from(self.bytes).unwrap_or(0);
        // SAFETY: exactly the mapping that was made, to which no reference is left.
        unsafe { libc::munmap(self.start.cast(), bytes) };
    }
}
