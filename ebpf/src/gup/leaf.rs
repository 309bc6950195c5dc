//! Whether one entry of a process's page tables maps all pages of a request: a huge page, or a part of one. Then they follow
//! each other, and none of them need be read.
//!
//! The tables are read when the request returns, a moment after the kernel did. That the entry leads to the first page that
//! was returned says that it is the same mapping: for it to be another, the range would have to be mapped in pieces, among
//! them of other memory, when the kernel looked, and as a whole, with the same first page, a moment later.

use aya_ebpf::helpers::generated::bpf_get_current_task;
use daxscope_common::layout::ABSENT;

use crate::{
    field::word,
    layout::layout,
    tables::{BLOCK, ENTRIES_MASK, LEVEL_BITS, LEVELS, PAGE_BITS, PRESENT, paging},
};

/// 1 if one entry maps `n` pages from an address on, the first of them given by its `struct page`. `mm` is that of the
/// process, or 0 for the current one.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn one_leaf(mm: u64, start: u64, n: u64, first: u64) -> u32 {
    let levels = paging!(levels);
    if levels == 0 || levels > LEVELS || layout!(task_mm) == ABSENT || layout!(mm_pgd) == ABSENT {
        return 0;
    }
    let mm = if mm == 0 {
        // SAFETY: no arguments.
        let task = unsafe { bpf_get_current_task() };
        word(task + u64::from(layout!(task_mm))).unwrap_or(0)
    } else {
        mm
    };
    if mm == 0 {
        return 0;
    }
    let mut table = word(mm + u64::from(layout!(mm_pgd))).unwrap_or(0);
    let (address, base) = (paging!(address), paging!(page_offset));
    // Base pages that an entry of the level maps, as a power of two.
    let mut order = LEVEL_BITS * (levels - 1);
    for _ in 1..LEVELS {
        let below = (PAGE_BITS + order) & 63;
        let entry = word(table + 8 * ((start >> below) & ENTRIES_MASK)).unwrap_or(0);
        if entry & PRESENT == 0 {
            return 0;
        }
        if entry & BLOCK != 0 {
            let inside = (start >> PAGE_BITS) & ((1 << (order & 63)) - 1);
            let frame = (entry & address) >> below << (order & 63);
            let page = paging!(vmemmap) + (frame + inside) * u64::from(layout!(page_size));
            return u32::from(inside + n <= 1 << (order & 63) && page == first);
        }
        if order <= LEVEL_BITS {
            return 0;
        }
        table = base + (entry & address);
        order -= LEVEL_BITS;
    }
    0
}
