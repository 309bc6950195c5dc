//! The ways into GUP that a program has.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, PipeReader, PipeWriter},
    os::{
        fd::AsRawFd as _,
        unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::Path,
    ptr,
};

use anyhow::{Context as _, Result, ensure};
use libc::iovec;

use super::ring::Ring;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ProcessVmReadv,
    Vmsplice,
    IoUring,
    ODirect,
}

/// In the order of the table.
pub const ALL: [Way; 4] = [
    Way::IoUring,
    Way::ODirect,
    Way::ProcessVmReadv,
    Way::Vmsplice,
];

impl Way {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProcessVmReadv => "process_vm_readv",
            Self::Vmsplice => "vmsplice",
            Self::IoUring => "io_uring",
            Self::ODirect => "O_DIRECT",
        }
    }

    /// What it may call, by kernel, and no more: what those call themselves would be watched, and slowed down, too.
    pub fn functions(self) -> impl Iterator<Item = &'static str> {
        let functions: &[_] = match self {
            // mm/process_vm_access.c
            Self::ProcessVmReadv => &["pin_user_pages_remote", "unpin_user_pages_dirty_lock"],
            // fs/splice.c, iter_to_pipe; they are given back by put_page, like any other reference
            Self::Vmsplice => &["get_user_pages_fast"],
            // io_uring/rsrc.c
            Self::IoUring => &[
                "pin_user_pages",
                "pin_user_pages_fast",
                "unpin_user_page",
                "unpin_user_pages",
                "unpin_user_folio",
            ],
            // block/bio.c, lib/iov_iter.c; by get_user_pages_fast and put_page until 6.4
            Self::ODirect => &[
                "pin_user_pages_fast",
                "get_user_pages_fast",
                "unpin_user_page",
                "unpin_user_folio",
            ],
        };
        functions.iter().copied()
    }

    /// Pages that one call of those takes.
    #[must_use]
    pub const fn most_pages(self) -> u64 {
        match self {
            // PVM_MAX_KMALLOC_PAGES * PAGE_SIZE / sizeof(void *), mm/process_vm_access.c; an io_uring takes far more
            Self::ProcessVmReadv | Self::IoUring => 1024,
            // Slots of a new pipe: PIPE_DEF_BUFFERS, include/linux/pipe_fs_i.h
            Self::Vmsplice => 16,
            // One bio: BIO_MAX_VECS, include/linux/bio.h
            Self::ODirect => 256,
        }
    }

    /// What it needs that was not allowed; `None` if it may be gone.
    #[must_use]
    pub const fn needs(self, writable: bool, sink: bool) -> Option<&'static str> {
        match self {
            Self::IoUring if !writable => Some(
                "it pins only what is mapped for writing, though it writes nothing: --writable allows that",
            ),
            Self::ODirect if !sink => Some(
                "it needs a place to write the pages to: --sink /dev/nullb0 (modprobe null_blk)",
            ),
            _ => None,
        }
    }

    /// What it goes with.
    ///
    /// # Errors
    /// When that is not there.
    pub fn ready(self, sink: Option<&Path>) -> Result<Hand> {
        Ok(match self {
            Self::ProcessVmReadv => Hand::ProcessVmReadv,
            Self::Vmsplice => {
                let (out_of, into) = io::pipe().context("cannot make a pipe")?;
                let null = OpenOptions::new().write(true).open("/dev/null");
                let null = null.context("cannot open /dev/null")?;
                Hand::Vmsplice { into, out_of, null }
            }
            Self::IoUring => Hand::IoUring(Ring::new()?),
            Self::ODirect => Hand::ODirect(null_block(sink.context("no --sink")?)?),
        })
    }
}

/// A block device that keeps nothing: of the module `null_blk` (`drivers/block/null_blk`).
fn null_block(path: &Path) -> Result<File> {
    let about = fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?;
    let devices = fs::read_to_string("/proc/devices").context("cannot read /proc/devices")?;
    let major = libc::major(about.rdev());
    let is_null = about.file_type().is_block_device() && null_major(&devices) == Some(major);
    ensure!(
        is_null,
        "{} is no device of null_blk: what is written anywhere else would stay there",
        path.display()
    );
    let mut options = OpenOptions::new();
    let options = options
        .write(true)
        .custom_flags(libc::O_DIRECT | libc::O_EXCL);
    let file = options.open(path);
    file.with_context(|| format!("cannot open {}", path.display()))
}

/// The major number of null block devices, in `/proc/devices`.
fn null_major(devices: &str) -> Option<u32> {
    let (_, blocks) = devices.split_once("Block devices:")?;
    let mut lines = blocks.lines().map(str::trim);
    lines.find_map(|line| line.strip_suffix(" nullb")?.parse().ok())
}

/// The means to go one way.
pub enum Hand {
    ProcessVmReadv,
    Vmsplice {
        into: PipeWriter,
        out_of: PipeReader,
        null: File,
    },
    IoUring(Ring),
    ODirect(File),
}

impl Hand {
    /// Takes references on all of a range, in one request, and gives them back.
    ///
    /// # Errors
    /// When the kernel refuses, or takes only a part.
    pub fn pin(&self, start: *mut u8, bytes: u64) -> Result<()> {
        let length = usize::try_from(bytes)?;
        let range = iovec {
            iov_base: start.cast(),
            iov_len: length,
        };
        let (what, got, wanted) = match self {
            // The whole remote range is pinned, and as much is copied as there is room for: one byte.
            Self::ProcessVmReadv => ("process_vm_readv", read_own(&range), 1),
            Self::Vmsplice { into, out_of, null } => {
                let got = give(into, &range);
                if let Ok(got) = got {
                    drain(out_of, null, got).context("cannot empty the pipe")?;
                }
                ("vmsplice", got, length)
            }
            Self::IoUring(ring) => {
                let registered = ring.register(start, length);
                ("io_uring", registered.map(|()| length), length)
            }
            Self::ODirect(file) => ("O_DIRECT", write(file, &range), length),
        };
        let got = got.with_context(|| format!("{what} refuses {bytes} bytes"))?;
        ensure!(got == wanted, "{what} took {got} bytes of {wanted}");
        Ok(())
    }
}

fn read_own(range: &iovec) -> io::Result<usize> {
    let mut byte = 0u8;
    let local = iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    // SAFETY: the kernel writes the one byte, and checks the other range, which it only reads.
    length(unsafe { libc::process_vm_readv(libc::getpid(), &raw const local, 1, range, 1, 0) })
}

fn give(into: &PipeWriter, range: &iovec) -> io::Result<usize> {
    let flags = libc::SPLICE_F_NONBLOCK;
    // SAFETY: one range; the kernel takes references on its pages, which nobody changes.
    length(unsafe { libc::vmsplice(into.as_raw_fd(), range, 1, flags) })
}

/// Empties a pipe, which drops the references.
fn drain(out_of: &PipeReader, null: &File, bytes: usize) -> io::Result<()> {
    let mut left = bytes;
    while left > 0 {
        let (from, to) = (out_of.as_raw_fd(), null.as_raw_fd());
        // SAFETY: two descriptors that are open, and no offsets.
        let moved = unsafe { libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), left, 0) };
        left -= length(moved)?;
    }
    Ok(())
}

fn write(file: &File, range: &iovec) -> io::Result<usize> {
    // SAFETY: the kernel checks the range, and reads it.
    length(unsafe { libc::pwrite(file.as_raw_fd(), range.iov_base, range.iov_len, 0) })
}

fn length(returned: isize) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes;

    #[test]
    fn null_blocks_have_a_number_of_their_own() {
        let devices =
            "Character devices:\n  1 mem\n\nBlock devices:\n  8 sd\n252 nullb\n259 blkext\n";
        assert_eq!(null_major(devices), Some(252));
        assert_eq!(
            null_major("Character devices:\n252 nullb\n\nBlock devices:\n  8 sd\n"),
            None
        );
        assert_eq!(null_major(""), None);
    }

    #[test]
    fn what_would_keep_what_is_written_is_no_sink() {
        let file = std::env::current_exe().expect("this program");
        let error = null_block(&file).expect_err("a file").to_string();
        assert!(error.contains("no device of null_blk"), "{error}");
    }

    #[test]
    fn all_that_is_called_can_be_watched() {
        for way in ALL {
            for function in way.functions() {
                let known = probes::points().any(|(_, point)| point.symbols.contains(&function));
                assert!(known, "{}: {function}", way.name());
            }
        }
    }
}
