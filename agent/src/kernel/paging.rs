//! How the kernel maps its own addresses: which page frames stand behind a piece of its virtual memory map. One small
//! interface; each architecture has its own file.

#[cfg(target_arch = "x86_64")]
mod x86_64;

use anyhow::Result;
use daxscope_common::tables::Paging;

use super::{
    addresses::Addresses,
    memory::{Memory, Unreadable},
};

/// Base pages in a piece: what one entry of the tables' second level maps, as a block or by a table of its own.
pub const PAGES: usize = daxscope_common::tables::ENTRIES;

/// Page frames behind the pages of a piece; `None` where nothing is mapped.
pub type Frames = [Option<u64>; PAGES];

/// The kernel's page tables.
pub struct PageTables {
    #[cfg(target_arch = "x86_64")]
    tables: x86_64::Tables,
}

/// Variables of the kernel that tell where the tables are.
pub const VARIABLES: &[&str] = {
    #[cfg(target_arch = "x86_64")]
    {
        x86_64::VARIABLES
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        &[]
    }
};

impl PageTables {
    /// Finds them.
    ///
    /// # Errors
    /// When a variable is missing or cannot be read, or this architecture's tables are not known here.
    #[cfg(target_arch = "x86_64")]
    pub fn of(addresses: &Addresses, memory: &mut impl Memory) -> Result<Self> {
        let tables = x86_64::Tables::of(addresses, memory)?;
        Ok(Self { tables })
    }

    /// Always fails: of this architecture nothing is known here.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn of(_: &Addresses, _: &mut impl Memory) -> Result<Self> {
        anyhow::bail!(
            "the page tables of the architecture {} are not read by daxscope",
            std::env::consts::ARCH
        )
    }

    /// Address of the struct page of frame 0, from which they follow each other (`vmemmap`, asm/pgtable.h).
    #[must_use]
    pub const fn vmemmap(&self) -> u64 {
        self.paging().vmemmap
    }

    /// Where the tables are, for the kernel side's `tables`.
    #[must_use]
    pub const fn paging(&self) -> Paging {
        #[cfg(target_arch = "x86_64")]
        {
            self.tables.paging()
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            Paging::UNKNOWN
        }
    }

    /// The frames behind the piece that holds an address, and the frame of the table that maps them one by one, if
    /// one does.
    ///
    /// # Errors
    /// When a table cannot be read.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables))]
    pub fn piece(
        &self,
        memory: &mut impl Memory,
        address: u64,
        frames: &mut Frames,
    ) -> Result<Option<u64>, Unreadable> {
        #[cfg(target_arch = "x86_64")]
        {
            self.tables.piece(memory, address, frames)
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            Ok(None)
        }
    }
}
