//! What the agent found out about the running kernel, as constants for the verifier: it removes the
//! branches that cannot be taken, so what is switched off costs nothing.

use daxscope_common::layout::Layout;

/// Set by the agent before load (`EbpfLoader::override_global`).
#[unsafe(no_mangle)]
pub static LAYOUT: Layout = Layout::UNKNOWN;

/// Reads one field of [`LAYOUT`]: volatile, since its value is not the one seen by the compiler.
macro_rules! layout {
    ($($field:tt)+) => {
        // SAFETY: a field of a static, aligned and never written by us.
        unsafe { core::ptr::read_volatile(&raw const $crate::layout::LAYOUT.$($field)+) }
    };
}
pub(crate) use layout;
