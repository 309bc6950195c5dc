//! Kernel memory as something that can be read, so that what walks through it can be tested without a kernel.

use std::fmt;

pub use daxscope_common::reader::Page;
use daxscope_common::tables::Piece;

/// Bytes of a [`Page`].
pub const PAGE: u64 = size_of::<Page>() as u64;

/// Memory that changes while it is read: nothing that follows from one read may be taken for granted in the next.
pub trait Memory {
    /// The page that holds an address, as it is now.
    ///
    /// # Errors
    /// When the kernel refuses or there is no memory.
    fn page(&mut self, address: u64) -> Result<&Page, Unreadable>;

    /// What maps the piece of the memory map that holds an address, where the memory itself knows how to follow the page
    /// tables; `None` where that is to be done by reading them.
    fn follow(&mut self, _address: u64) -> Option<Result<Piece, Unreadable>> {
        None
    }

    /// Bytes from an address on, across pages.
    ///
    /// # Errors
    /// As of [`page`](Memory::page).
    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), Unreadable> {
        let mut done = 0;
        while done < into.len() {
            let at = address.wrapping_add(done as u64);
            let page = self.page(at)?;
            let inside = usize::try_from(at % PAGE).unwrap_or_default();
            let length = (into.len() - done).min(size_of::<Page>() - inside);
            for (at, to) in (inside..).zip(&mut into[done..done + length]) {
                *to = page[at / 8].to_ne_bytes()[at % 8];
            }
            done += length;
        }
        Ok(())
    }

    /// The word at an address.
    ///
    /// # Errors
    /// As of [`page`](Memory::page).
    fn u64(&mut self, address: u64) -> Result<u64, Unreadable> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// The half word at an address.
    ///
    /// # Errors
    /// As of [`page`](Memory::page).
    fn u32(&mut self, address: u64) -> Result<u32, Unreadable> {
        let mut bytes = [0; 4];
        self.read(address, &mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }
}

/// Memory could not be read; says why, and not where: no address of the kernel leaves the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub errno: i32,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = crate::errno::name(usize::try_from(self.errno).unwrap_or_default());
        write!(f, "kernel memory cannot be read ({name})")
    }
}

impl std::error::Error for Unreadable {}
