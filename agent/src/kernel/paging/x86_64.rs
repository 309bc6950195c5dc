//! Page tables of x86-64 (`arch/x86/include/asm/pgtable_types.h`): tables of 512 words, four levels or five.

use anyhow::Result;
use daxscope_common::tables::{Paging, Piece};

use super::{Frames, PAGES};
use crate::kernel::{
    addresses::Addresses,
    memory::{Memory, Unreadable},
};

/// Variables of arch/x86/kernel/head64.c; the root in `head_64.S`; `arch/x86/mm/mem_encrypt_boot.c`.
pub const VARIABLES: &[&str] = &[VMEMMAP_BASE, PAGE_OFFSET_BASE, ROOT, ENCRYPTION];
const VMEMMAP_BASE: &str = "vmemmap_base";
/// Where all of memory is mapped, from physical address 0 on. A variable with `CONFIG_RANDOMIZE_MEMORY`.
const PAGE_OFFSET_BASE: &str = "page_offset_base";
const ROOT: &str = "init_top_pgt";
/// The bit of an entry that says that its page is encrypted (AMD SME, SEV); 0 or absent where there is none.
const ENCRYPTION: &str = "sme_me_mask";

const PRESENT: u64 = 1;
/// In the second and third level: maps a block, instead of a table.
const BLOCK: u64 = 1 << 7;
/// Bits 12 to 51 hold the physical address.
const ADDRESS: u64 = (1 << 52) - (1 << PAGE_BITS);
const PAGE_BITS: u32 = 12;
/// Bits of an address that index one level.
const LEVEL_BITS: u32 = 9;
/// Addresses with four levels have their 17 highest bits equal: the kernel's own start here. Below, there are five.
const FOUR_LEVELS: u64 = 0xffff_8000_0000_0000;

/// Where the tables are.
pub struct Tables(Paging);

impl Tables {
    /// Finds them.
    pub fn of(addresses: &Addresses, memory: &mut impl Memory) -> Result<Self> {
        let vmemmap = memory.u64(addresses.of(VMEMMAP_BASE)?)?;
        let page_offset = memory.u64(addresses.of(PAGE_OFFSET_BASE)?)?;
        let encryption = match addresses.of(ENCRYPTION) {
            Ok(address) => memory.u64(address)?,
            Err(_) => 0,
        };
        Ok(Self(Paging {
            root: addresses.of(ROOT)?,
            page_offset,
            vmemmap,
            address: ADDRESS & !encryption,
            levels: if page_offset < FOUR_LEVELS { 5 } else { 4 },
            pad: 0,
        }))
    }

    pub const fn paging(&self) -> Paging {
        self.0
    }

    pub fn piece(
        &self,
        memory: &mut impl Memory,
        address: u64,
        frames: &mut Frames,
    ) -> Result<Option<u64>, Unreadable> {
        let piece = match memory.follow(address) {
            Some(piece) => piece?,
            None => self.follow(memory, address)?,
        };
        *frames = [None; PAGES];
        if piece.entry & PRESENT == 0 {
            return Ok(None);
        }
        let frame = |entry: u64| (entry & self.0.address) >> PAGE_BITS;
        if piece.entry & BLOCK != 0 {
            // Of a block of 1 GiB (level 2) the part that is our piece.
            let inside = (1 << (LEVEL_BITS * u32::try_from(piece.level).unwrap_or(1))) - 1;
            let first = frame(piece.entry) & !inside;
            let part = (address >> PAGE_BITS) & inside & !(PAGES as u64 - 1);
            for (frame, n) in frames.iter_mut().zip(first + part..) {
                *frame = Some(n);
            }
            return Ok(None);
        }
        for (to, entry) in frames.iter_mut().zip(&piece.table) {
            *to = (entry & PRESENT != 0).then_some(frame(*entry));
        }
        Ok(Some(frame(piece.entry)))
    }

    /// What maps the piece that holds an address; as the kernel side's `tables` does it.
    fn follow(&self, memory: &mut impl Memory, address: u64) -> Result<Piece, Unreadable> {
        let mut piece = Piece {
            table: [0; PAGES],
            entry: 0,
            level: 0,
        };
        let mut table = self.0.root;
        for level in (1..self.0.levels).rev() {
            let entry = memory.u64(table.wrapping_add(8 * index(address, level)))?;
            (piece.entry, piece.level) = (entry, level.into());
            if entry & PRESENT == 0 || (level <= 2 && entry & BLOCK != 0) {
                return Ok(piece);
            }
            table = self.0.page_offset.wrapping_add(entry & self.0.address);
        }
        piece.table = *memory.page(table)?;
        Ok(piece)
    }
}

/// Which entry of a table leads to an address; level 0 is the last.
const fn index(address: u64, level: u32) -> u64 {
    address >> (PAGE_BITS + LEVEL_BITS * level) & (PAGES as u64 - 1)
}
