//! Copies a page of kernel memory for the agent, which asks by `BPF_PROG_TEST_RUN`: a program that is attached to
//! nothing. What the page means is known in user space only, where it is tested.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, bpf_raw_tracepoint_args},
    helpers::generated::bpf_probe_read_kernel,
    macros::map,
    maps::Array,
};
use daxscope_common::reader::Page;

/// The page copied last; the agent maps it.
#[map]
static READER_PAGE: Array<Page> = Array::with_max_entries(1, BPF_F_MMAPABLE);

const EINVAL: i32 = 22;

/// Argument 0 is an address of kernel memory. Returns 0, or the negated errno of the helper.
///
/// Written out, since the macro of aya drops the result.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
extern "C" fn reader(ctx: *mut bpf_raw_tracepoint_args) -> i32 {
    let Some(page) = READER_PAGE.get_ptr_mut(0) else {
        return -EINVAL;
    };
    // SAFETY: the agent gives 12 arguments, and the verifier checks the offset.
    let address = unsafe { *ctx.cast::<u64>() };
    let size = size_of::<Page>() as u32;
    let start = address & !(u64::from(size) - 1);
    // SAFETY: the map's value has that size; the helper checks the address, and refuses what it cannot read.
    (unsafe { bpf_probe_read_kernel(page.cast::<c_void>(), size, start as *const c_void) }) as i32
}
