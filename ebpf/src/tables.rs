//! Reads the page tables of the memory map of one live pagemap for the agent, which asks by `BPF_PROG_TEST_RUN`. It
//! follows the tables itself, from a root that was set before load: of kernel memory it can show page frame numbers of
//! struct pages, and nothing else.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE, helpers::generated::bpf_probe_read_kernel, macros::map, maps::Array,
};
use daxscope_common::{
    memremap::KEPT_RANGES,
    tables::{ENTRIES, Paging, Piece},
};

use crate::{field::read, layout::layout, memremap::MEMREMAP_PAGEMAPS};

/// The piece read last; the agent maps it.
#[map]
static TABLES_PIECE: Array<Piece> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Set by the agent before load.
#[unsafe(no_mangle)]
pub static PAGING: Paging = Paging::UNKNOWN;

/// Reads one field of [`PAGING`].
macro_rules! paging {
    ($field:ident) => {
        // SAFETY: a field of a static, aligned and never written by us.
        unsafe { core::ptr::read_volatile(&raw const $crate::tables::PAGING.$field) }
    };
}

pub(crate) use paging;

const ENOENT: i32 = 2;
const EFAULT: i32 = 14;
const EINVAL: i32 = 22;
const EOPNOTSUPP: i32 = 95;

/// `_PAGE_PRESENT` and `_PAGE_PSE`, `arch/x86/include/asm/pgtable_types.h`.
pub const PRESENT: u64 = 1;
pub const BLOCK: u64 = 1 << 7;
/// Bits of an address that index one level, and those below the last.
pub const LEVEL_BITS: u32 = 9;
pub const PAGE_BITS: u32 = 12;
/// Mask of such an index.
pub const ENTRIES_MASK: u64 = ENTRIES as u64 - 1;
/// x86-64 has four levels or five.
pub const LEVELS: u32 = 5;

/// Argument 0 says where a live pagemap starts, argument 1 is a physical address in one of its ranges. Returns 0 with
/// [`TABLES_PIECE`] written, or a negated errno.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
extern "C" fn tables(ctx: *mut c_void) -> i32 {
    // SAFETY: the agent gives 12 arguments, and the verifier checks the offsets.
    let (start, address) = unsafe { (*ctx.cast::<u64>(), *ctx.cast::<u64>().add(1)) };
    if !is_of_pagemap(start, address) {
        return -ENOENT;
    }
    let Some(piece) = TABLES_PIECE.get_ptr_mut(0) else {
        return -EINVAL;
    };
    let frame = address >> (layout!(page_shift) & 63);
    follow(
        piece,
        paging!(vmemmap) + frame * u64::from(layout!(page_size)),
    )
}

/// Whether a live pagemap has an address.
#[inline(always)]
fn is_of_pagemap(start: u64, address: u64) -> bool {
    // SAFETY: an entry is not changed once it is written, and one that goes away meanwhile is read as it was.
    let Some(pagemap) = (unsafe { MEMREMAP_PAGEMAPS.get(start) }) else {
        return false;
    };
    let mut i = 0;
    while i < KEPT_RANGES {
        let [first, last] = pagemap.kept[i];
        if last > first && first <= address && address <= last {
            return true;
        }
        i += 1;
    }
    false
}

/// Follows the tables to what maps an address.
#[inline(always)]
fn follow(piece: *mut Piece, address: u64) -> i32 {
    let levels = paging!(levels);
    if levels == 0 || levels > LEVELS {
        return -EOPNOTSUPP;
    }
    let mut table = paging!(root);
    let mut entry = 0;
    let mut level = levels - 1;
    for _ in 1..LEVELS {
        if level == 0 {
            break;
        }
        let index = address >> ((PAGE_BITS + LEVEL_BITS * level) & 63) & ENTRIES_MASK;
        entry = match read::<u64>(table + 8 * index) {
            Some(entry) if entry & PRESENT == 0 => 0,
            Some(entry) => entry,
            None => return -EFAULT,
        };
        if entry == 0 || (level <= 2 && entry & BLOCK != 0) {
            break;
        }
        table = paging!(page_offset) + (entry & paging!(address));
        level -= 1;
    }
    // SAFETY: a map value.
    unsafe {
        (*piece).entry = entry;
        // Of a table that was reached, the entry that led to it is one level up.
        (*piece).level = u64::from(if level == 0 { 1 } else { level });
    }
    if level > 0 {
        return 0;
    }
    let size = (8 * ENTRIES) as u32;
    // SAFETY: the first `size` bytes of a map value.
    (unsafe { bpf_probe_read_kernel(piece.cast::<c_void>(), size, table as *const c_void) }) as i32
}
