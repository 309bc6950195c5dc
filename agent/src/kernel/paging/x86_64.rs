//! Page tables of x86-64 (`arch/x86/include/asm/pgtable_types.h`): tables of 512 words, four levels or five.

use anyhow::Result;

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
pub struct Tables {
    root: u64,
    page_offset: u64,
    address: u64,
    levels: u32,
}

impl Tables {
    /// The tables, and the address of the struct page of frame 0.
    pub fn of(addresses: &Addresses, memory: &mut impl Memory) -> Result<(Self, u64)> {
        let vmemmap = memory.u64(addresses.of(VMEMMAP_BASE)?)?;
        let page_offset = memory.u64(addresses.of(PAGE_OFFSET_BASE)?)?;
        let encryption = match addresses.of(ENCRYPTION) {
            Ok(address) => memory.u64(address)?,
            Err(_) => 0,
        };
        let tables = Self {
            root: addresses.of(ROOT)?,
            page_offset,
            address: ADDRESS & !encryption,
            levels: if page_offset < FOUR_LEVELS { 5 } else { 4 },
        };
        Ok((tables, vmemmap))
    }

    pub fn piece(
        &self,
        memory: &mut impl Memory,
        address: u64,
        frames: &mut Frames,
    ) -> Result<Option<u64>, Unreadable> {
        *frames = [None; PAGES];
        let mut table = self.root;
        for level in (1..self.levels).rev() {
            let entry = memory.u64(table + 8 * index(address, level))?;
            if entry & PRESENT == 0 {
                return Ok(None);
            }
            if level <= 2 && entry & BLOCK != 0 {
                // Of a block of 1 GiB (level 2) the part that is our piece.
                let inside = (1 << (LEVEL_BITS * level)) - 1;
                let first = (entry & self.address) >> PAGE_BITS & !inside;
                let part = (address >> PAGE_BITS) & inside & !(PAGES as u64 - 1);
                for (frame, n) in frames.iter_mut().zip(first + part..) {
                    *frame = Some(n);
                }
                return Ok(None);
            }
            table = self.page_offset.wrapping_add(entry & self.address);
        }
        let entries = memory.page(table)?;
        for (frame, entry) in frames.iter_mut().zip(entries) {
            *frame = (entry & PRESENT != 0).then_some((entry & self.address) >> PAGE_BITS);
        }
        Ok(Some(table.wrapping_sub(self.page_offset) >> PAGE_BITS))
    }
}

/// Which entry of a table leads to an address; level 0 is the last.
const fn index(address: u64, level: u32) -> u64 {
    address >> (PAGE_BITS + LEVEL_BITS * level) & (PAGES as u64 - 1)
}
