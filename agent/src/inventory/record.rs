//! Kernel memory on file: what a walk in a guest read, to walk through again in tests. Writing is only in a build with
//! the feature `record`, since it shows addresses and words of the kernel.
//!
//! A text: where things are (`symbol`, `walker`, `counts`, `layout`), then of each page the words that were read, in
//! hexadecimal: `at ADDRESS`, and lines of `WORD VALUE [TIMES]`. A word that is left out is 0.

use std::collections::BTreeMap;

use crate::kernel::memory::{Memory, PAGE, Page, Unreadable};

#[cfg(test)]
mod tests;
#[cfg(feature = "record")]
pub mod write;

/// Pages by their address. What is not there cannot be read.
#[derive(Clone, Default)]
pub struct Recorded(BTreeMap<u64, Box<Page>>);

impl Recorded {
    /// A word, to write it.
    pub fn word(&mut self, address: u64) -> &mut u64 {
        let page = self.0.entry(address & !(PAGE - 1));
        let page = page.or_insert_with(|| Box::new([0; _]));
        let word = usize::try_from(address % PAGE / 8).unwrap_or_default();
        &mut page[word]
    }
}

impl Memory for Recorded {
    fn page(&mut self, address: u64) -> Result<&Page, Unreadable> {
        let page = self.0.get(&(address & !(PAGE - 1)));
        let errno = libc::EFAULT;
        page.map(|page| &**page).ok_or(Unreadable { errno })
    }
}
