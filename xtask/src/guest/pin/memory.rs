//! Memory to pin from, present and written before the first pin.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr;

use anyhow::{Context, Result, ensure};

use crate::guest::region::PAGE;

/// A part of a [`Memory::patchwork`].
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    pub pages: u64,
    /// A device-dax device and the offset in bytes; `None` is memory of the system.
    pub device: Option<(&'a Path, u64)>,
    /// Alignment that the mapping needs, in bytes.
    pub align: u64,
}

/// A mapping of this process, unmapped on drop.
pub struct Memory {
    start: *mut u8,
    mapped: usize,
    pages: u64,
}

// SAFETY: the mapping is plain memory that belongs to no thread; the kernel alone reads and writes it while
// several threads hold the address.
unsafe impl Send for Memory {}
// SAFETY: as above; no reference into the mapping is ever made.
unsafe impl Sync for Memory {}

impl Memory {
    /// Private memory of the system. Each page is written: a read fault would map the zero page, which
    /// pinning does not count.
    pub fn anonymous(pages: u64) -> Result<Memory> {
        let memory = Memory::untouched(pages)?;
        memory.touch();
        Ok(memory)
    }

    /// As [`Memory::anonymous`], of base pages alone. Up to 6.1 the registration of an `io_uring` buffer compares each huge
    /// page with all before it (`headpage_already_acct`, `io_uring/rsrc.c`).
    pub fn of_base_pages(pages: u64) -> Result<Memory> {
        let memory = Memory::untouched(pages)?;
        let length = to_usize(pages * PAGE);
        // SAFETY: advice on our own mapping.
        let rc = unsafe { libc::madvise(memory.at(0).cast(), length, libc::MADV_NOHUGEPAGE) };
        ensure!(rc == 0, "madvise: {}", std::io::Error::last_os_error());
        memory.touch();
        Ok(memory)
    }

    /// As [`Memory::anonymous`], in huge pages of 2 MiB, the first of which starts the memory.
    pub fn huge(pages: u64) -> Result<Memory> {
        let huge = 2 << 20;
        let bytes = (pages * PAGE).next_multiple_of(huge);
        let mut memory = Memory::untouched((bytes + huge) / PAGE)?;
        // SAFETY: advice on our own mapping. Where huge pages are never made, the check below says so.
        unsafe {
            libc::madvise(memory.start.cast(), memory.mapped, libc::MADV_HUGEPAGE);
        }
        memory.skip_to(huge)?;
        memory.pages = pages;
        memory.touch();
        let start = format!("{:x}-", memory.start.addr());
        let smaps = fs::read_to_string("/proc/self/smaps").context("cannot read the own smaps")?;
        let mut own = smaps.lines().skip_while(|line| !line.starts_with(&start));
        let kibibytes = own
            .find_map(|line| line.strip_prefix("AnonHugePages:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        ensure!(
            kibibytes.is_some_and(|kibibytes| kibibytes << 10 >= bytes),
            "of {bytes} bytes {kibibytes:?} KiB are in huge pages: is transparent_hugepage off?"
        );
        Ok(memory)
    }

    /// Private memory that no fault has filled: every pin must leave the kernel's fast path.
    pub fn untouched(pages: u64) -> Result<Memory> {
        Memory::map(
            pages * PAGE,
            pages,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
        )
    }

    /// The first pages of a device-dax device, whose mappings come in multiples of its alignment.
    pub fn device(path: &Path, align: u64, pages: u64) -> Result<Memory> {
        let file = open(path)?;
        let bytes = (pages * PAGE).next_multiple_of(align);
        let memory = Memory::map(bytes, pages, libc::MAP_SHARED, file.as_raw_fd())
            .with_context(|| format!("cannot map {bytes} bytes of {}", path.display()))?;
        memory.touch();
        Ok(memory)
    }

    /// Pieces of different memory one behind the other, as many pages of each as given.
    pub fn patchwork(pieces: &[Piece]) -> Result<Memory> {
        let pages = pieces.iter().map(|piece| piece.pages).sum();
        // Device mappings start and end where the device is aligned; the first piece starts on the largest alignment.
        let align = pieces.iter().map(|piece| piece.align).max().unwrap_or(PAGE);
        let mut memory = Memory::untouched(pages + align / PAGE)?;
        memory.pages = pages;
        memory.skip_to(align)?;
        let mut page = 0;
        for piece in pieces {
            memory.put(page, piece)?;
            page += piece.pages;
        }
        memory.touch();
        Ok(memory)
    }

    /// Gives back what lies before the first multiple of `align`.
    fn skip_to(&mut self, align: u64) -> Result<()> {
        let mapped = self.start;
        let skip = mapped.align_offset(to_usize(align));
        self.start = mapped.wrapping_add(skip);
        self.mapped -= skip;
        // SAFETY: what lies before the aligned start of our own mapping, which `mapped` no longer covers.
        let rc = unsafe { libc::munmap(mapped.cast(), skip) };
        ensure!(
            rc == 0 || skip == 0,
            "cannot unmap: {}",
            std::io::Error::last_os_error()
        );
        Ok(())
    }

    /// Maps a piece of a device over what is there.
    fn put(&self, page: u64, piece: &Piece) -> Result<()> {
        let Some((path, offset)) = piece.device else {
            return Ok(());
        };
        let file = open(path)?;
        let (at, bytes) = (self.at(page), to_usize(piece.pages * PAGE));
        let (rights, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_FIXED,
        );
        let offset = libc::off_t::try_from(offset)?;
        // SAFETY: replaces a part of our own mapping, which `drop` unmaps as one range.
        let got = unsafe { libc::mmap(at.cast(), bytes, rights, flags, file.as_raw_fd(), offset) };
        ensure!(
            got == at.cast(),
            "cannot map {} over other memory: {}",
            path.display(),
            std::io::Error::last_os_error()
        );
        Ok(())
    }

    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Address of a page.
    pub fn at(&self, page: u64) -> *mut u8 {
        assert!(page < self.pages, "page {page} of {}", self.pages);
        self.start.wrapping_add(to_usize(page * PAGE))
    }

    /// Unmap everything from `page` on; what lies there is a hole from then on.
    pub fn cut(&mut self, page: u64) -> Result<()> {
        let keep = to_usize(page * PAGE);
        // SAFETY: the range is the tail of our own mapping, and `mapped` shrinks with it.
        let rc = unsafe { libc::munmap(self.at(page).cast(), self.mapped - keep) };
        ensure!(rc == 0, "cannot unmap: {}", std::io::Error::last_os_error());
        self.mapped = keep;
        Ok(())
    }

    fn map(bytes: u64, pages: u64, flags: i32, fd: i32) -> Result<Memory> {
        let mapped = to_usize(bytes);
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                mapped,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                fd,
                0,
            )
        };
        ensure!(
            start != libc::MAP_FAILED,
            "mmap of {bytes} bytes: {}",
            std::io::Error::last_os_error()
        );
        Ok(Memory {
            start: start.cast(),
            mapped,
            pages,
        })
    }

    fn touch(&self) {
        for page in 0..self.pages {
            // SAFETY: `at` lies inside the writable mapping; a volatile write is not optimised away.
            unsafe { self.at(page).write_volatile(1) };
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `map`, less what `cut` gave back.
        unsafe { libc::munmap(self.start.cast(), self.mapped) };
    }
}

fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("the guest is 64-bit")
}
