//! Cutting an array of pages into runs of one pagemap, and counting each under its geometry.
//!
//! To *look* at a page is to ask which pagemap it belongs to: two reads of kernel memory for a page of the system, four
//! for one of a device. Every page of an array of up to [`LOOKS`] is looked at. A longer one is cut into parts, half as
//! many as [`LOOKS`], and the first and the last page of each are looked at; if they differ, the border is found by
//! bisection, with log2 of the part's pages looks more, and four to see if it was the only one.
//!
//! Pages between two of one pagemap are of it too if their struct pages follow each other in memory, as in a huge page
//! or a mapping of device memory. That is checked of every page, at one read for [`CHUNK`] of them; first for the array
//! as a whole, for which two looks are enough then. What neither was looked at nor follows is counted as its neighbours
//! are, and the result says so ([`SAMPLED`]).
//!
//! All are global functions: the verifier walks their loops once, and a loop in a loop costs it the sum, not the product.
//! What a loop carries along must be numbers that the verifier knows nothing of, or it would follow each turn by itself
//! (5.10 compares all that it knows of all numbers).

use core::{arch::asm, mem::MaybeUninit};

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;

use super::count::count_run;
use crate::{
    field::word,
    layout::layout,
    page::{page_geometry, page_pagemap},
};

/// Pages looked at in one array.
const LOOKS: u64 = 64;
/// Addresses of struct pages read at once.
const CHUNK: usize = 16;
/// Chunks in a block, and blocks in the longest stretch that is checked page by page: 8192 pages. A part of an array may be
/// one, so an array may have 2^18 pages, which is 1 GiB, the most that a buffer of `io_uring` may have
/// (`io_buffer_validate`, `io_uring/rsrc.c`).
const BLOCK: u64 = 16;
const BLOCKS: u64 = 32;
const BLOCK_PAGES: u64 = BLOCK * CHUNK as u64;

/// Added to the result of [`count_runs`] if some pages were counted as their neighbours are.
pub const SAMPLED: u32 = 1 << 8;
/// Added if there was device memory among them.
pub const DEVICE: u32 = 1 << 9;
/// Mask of the geometry slot in the result of [`count_runs`].
pub const GEOMETRY: u32 = SAMPLED - 1;

/// Counts `n` pages, at least one, of an array of `struct page *`; `what` and `frame` are those of [`count_run`].
/// Returns the geometry slot of the first page, with flags.
#[inline(always)]
pub fn count_runs(array: u64, n: u64, what: u32, frame: u32) -> u32 {
    let whole = look(array, n);
    if whole & (UNPROVEN | MIXED) == 0 {
        return count_run(whole, n, what, frame);
    }
    count_parts(array, n, what, frame)
}

/// As [`count_runs`], of an array that [`look`] did not prove to be of one pagemap.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn count_parts(array: u64, n: u64, what: u32, frame: u32) -> u32 {
    let (step, mut flags) = (part(n), 0);
    for i in 0..LOOKS {
        let at = i * step;
        if at >= n {
            break;
        }
        flags |= count_part(array + 8 * at, step.min(n - at), what, frame);
    }
    page_geometry(page_at(array, 0)) | flags
}

/// The length of the parts of an array of `n`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn part(n: u64) -> u64 {
    if n <= LOOKS { 1 } else { n.div_ceil(LOOKS / 2) }
}

/// Counts pages of a part of an array. Returns [`SAMPLED`] and [`DEVICE`], or 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn count_part(array: u64, n: u64, what: u32, frame: u32) -> u32 {
    let found = look(array, n);
    if found & MIXED == 0 {
        let flags = count_run(found & !UNPROVEN, n, what, frame) & DEVICE;
        return if found & UNPROVEN != 0 {
            flags | SAMPLED
        } else {
            flags
        };
    }
    let before = page_pagemap(page_at(array, 0));
    let behind = page_pagemap(page_at(array, n - 1));
    let border = border(array, n - 1, before);
    let flags = count_run(before, border, what, frame) | count_run(behind, n - border, what, frame);
    if look(array, border) == before && look(array + 8 * border, n - border) == behind {
        flags & DEVICE
    } else {
        flags & DEVICE | SAMPLED
    }
}

/// Added to a pagemap, whose address is even: some pages were not proven to be of it.
pub const UNPROVEN: u64 = 1;
/// In place of a pagemap: the first page and the last are of two. No pagemap has this bit set.
pub const MIXED: u64 = 2;

/// The pagemap of `n` pages of an array.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn look(array: u64, n: u64) -> u64 {
    let first = page_at(array, 0);
    let pgmap = page_pagemap(first);
    if n <= 1 {
        return pgmap;
    }
    let last = page_at(array, n - 1);
    if page_pagemap(last) != pgmap {
        return MIXED;
    }
    let size = u64::from(layout!(page_size));
    if n == 2
        || size != 0
            && n <= BLOCKS * BLOCK_PAGES
            && last.wrapping_sub(first) == (n - 1) * size
            && follow_each_other(array, first, n) != 0
    {
        return pgmap;
    }
    pgmap | UNPROVEN
}

/// The index of a page of an array that is not of a pagemap, while the one before it is. Page 0 is known to be, page `n`
/// not to be.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn border(array: u64, n: u64, pgmap: u64) -> u64 {
    let (mut like, mut apart) = (0, n);
    // 2^32 pages are 16 TiB, and the count is an int or bounded by memory.
    for _ in 0..32 {
        if apart <= 1 {
            break;
        }
        let half = apart / 2;
        // Arithmetic rather than a branch, for the verifier.
        let is_like = is_of(page_at(array, like + half), pgmap);
        like += half * is_like;
        apart = half + (apart - 2 * half) * is_like;
    }
    like + 1
}

/// 1 if a page is of a pagemap, else 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn is_of(page: u64, pgmap: u64) -> u64 {
    u64::from(page_pagemap(page) == pgmap)
}

/// 1 if the struct pages that an array of `n` points to follow each other in memory, from `first` on.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn follow_each_other(array: u64, first: u64, n: u64) -> u32 {
    let size = u64::from(layout!(page_size));
    let (mut at, mut page, mut left) = (array, first, n);
    for _ in 0..BLOCKS {
        if left < BLOCK_PAGES {
            break;
        }
        if block_follows(at, page, BLOCK_PAGES) == 0 {
            return 0;
        }
        at += 8 * BLOCK_PAGES;
        page += size * BLOCK_PAGES;
        left -= BLOCK_PAGES;
    }
    u32::from(left < BLOCK_PAGES && block_follows(at, page, left) != 0)
}

/// As [`follow_each_other`], for at most [`BLOCK`] chunks.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn block_follows(array: u64, first: u64, n: u64) -> u32 {
    let size = u64::from(layout!(page_size));
    let (mut at, mut page, mut left) = (array, first, n);
    let mut chunk = MaybeUninit::uninit();
    for _ in 0..BLOCK {
        if left < CHUNK as u64 {
            break;
        }
        if !read_chunk(&mut chunk, CHUNK as u32 * 8, at) || differs(&chunk, page, size) {
            return 0;
        }
        at += 8 * CHUNK as u64;
        page += size * CHUNK as u64;
        left -= CHUNK as u64;
    }
    if left == 0 {
        return 1;
    }
    // What is read replaces what is expected, so that the rest of the chunk need not be told apart.
    let mut expected = page;
    for i in 0..CHUNK {
        // SAFETY: in bounds.
        unsafe { chunk.as_mut_ptr().cast::<u64>().add(i).write(expected) };
        expected += size;
    }
    let bytes = (left as u32 & (CHUNK as u32 - 1)) * 8;
    u32::from(read_chunk(&mut chunk, bytes, at) && !differs(&chunk, page, size))
}

type Chunk = MaybeUninit<[u64; CHUNK]>;

/// Reads so many bytes, at most a chunk; false if they cannot be read.
#[inline(always)]
fn read_chunk(into: &mut Chunk, bytes: u32, from: u64) -> bool {
    // SAFETY: into our own memory; the helper checks where it reads from.
    unsafe { bpf_probe_read_kernel(into.as_mut_ptr().cast(), bytes, from as *const _) == 0 }
}

/// Whether a chunk is not `first` and what follows it.
#[inline(always)]
fn differs(chunk: &Chunk, first: u64, size: u64) -> bool {
    let mut difference = 0u64;
    let mut expected = first;
    for i in 0..CHUNK {
        // SAFETY: in bounds, and written by the helper.
        let page = unsafe { chunk.as_ptr().cast::<u64>().add(i).read() };
        // By hand, since the compiler makes a branch of each comparison, and the verifier follows all their combinations; and
        // since it would keep all that is expected on the stack.
        // SAFETY: arithmetic on registers.
        unsafe {
            asm!(
                "{0} ^= {1}", "{2} |= {0}", "{1} += {3}",
                inout(reg) page => _, inout(reg) expected, inout(reg) difference, in(reg) size,
                options(pure, nomem, nostack),
            );
        };
    }
    difference != 0
}

/// The page that an element of an array points to; 0, which no pagemap can be told of, if it cannot be read.
#[inline(always)]
pub fn page_at(array: u64, index: u64) -> u64 {
    word(array + 8 * index).unwrap_or(0)
}
