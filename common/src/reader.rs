//! The reader: a page of kernel memory, on request.

/// Bytes that are copied at a time, from an address that is a multiple of it. Not the kernel's page size: on kernels
/// with larger pages it is a part of one.
pub const PAGE: usize = 4096;
/// What is copied, as words of the machine.
pub type Page = [u64; PAGE / 8];
