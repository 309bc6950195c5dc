//! The contract between the kernel side (`ebpf`) and the user side (`agent`): the shapes of the
//! maps, and the arithmetic that both sides must do alike.
//!
//! Integers and arrays of integers only, explicit padding, a `const` size assertion for each shape.
//! Feature `user` adds `aya::Pod`.
#![no_std]

pub mod geometry;
pub mod gup;
pub mod hist;
pub mod holders;
pub mod layout;
pub mod lost;
pub mod memremap;
pub mod point;
pub mod reader;
pub mod session;
pub mod span;
pub mod tables;
pub mod vmemmap;

/// One more than the highest errno that a kernel function returns to user space
/// (`EHWPOISON` 133, include/uapi/asm-generic/errno.h). Slot 0 of an array of this length is success
/// where a room counts results, and unused where it counts errors only.
pub const ERRNOS: usize = 134;

/// Declares that a shape may be copied between the kernel and user space as plain bytes.
#[cfg(feature = "user")]
macro_rules! pod {
    ($($shape:ty),+) => {
        $(
            // SAFETY: `repr(C)`, integers and arrays of integers only, no implicit padding (the size
            // assertion beside the shape would fail), so every bit pattern is a value.
            unsafe impl aya::Pod for $shape {}
        )+
    };
}
#[cfg(not(feature = "user"))]
macro_rules! pod {
    ($($shape:ty),+) => {};
}
pub(crate) use pod;
