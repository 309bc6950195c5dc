//! Reading kernel memory at offsets that the agent found.

use aya_ebpf::helpers::bpf_probe_read_kernel;

/// Reads a value at an address of kernel memory; `None` if it cannot be read.
#[inline(always)]
pub fn read<T>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address, and refuses what it cannot read.
    unsafe { bpf_probe_read_kernel(address as *const T) }.ok()
}
