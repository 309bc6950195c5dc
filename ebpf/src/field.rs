//! Reading kernel memory at offsets that the agent found.

use core::arch::asm;

use aya_ebpf::helpers::bpf_probe_read_kernel;
use daxscope_common::layout::{CAST, CAST_TYPE};

use crate::layout::layout;

/// Reads a value at an address of kernel memory; `None` if it cannot be read.
#[inline(always)]
pub fn read<T>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address, and refuses what it cannot read.
    unsafe { bpf_probe_read_kernel(address as *const T) }.ok()
}

/// As [`read`], of a word; by a load, where the kernel lets a program make one of any address: a tenth of the helper.
#[inline(always)]
pub fn word(address: u64) -> Option<u64> {
    if layout!(cast) != 0 {
        let word: u64;
        // The address is taken for that of a structure whose first word is a number. A load that fails gives 0
        // (`PROBE_MEM`, kernel/bpf/verifier.c).
        // SAFETY: the agent has put in place what is called.
        unsafe {
            asm!(
                "r2 = {kind}",
                "call {cast}",
                "{word} = *(u64 *)(r0 + 0)",
                kind = const CAST_TYPE,
                cast = const CAST,
                word = lateout(reg) word,
                inout("r1") address => _,
                out("r0") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _,
                options(nostack, readonly),
            );
        }
        if word != 0 {
            return Some(word);
        }
    }
    read(address)
}
