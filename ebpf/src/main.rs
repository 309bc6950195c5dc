//! The kernel side of daxscope: a room per probe family, each with the bodies of its probes, and thin
//! attach wrappers around them (`call.rs`). It knows no kernel version and no symbol that varies: offsets
//! come in one global (`layout.rs`), the agent chooses what to attach to.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![allow(
    clippy::inline_always,
    reason = "a call is an instruction on somebody's hot path, and passes structures in memory"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "registers are 64 bits wide, whatever the type of the kernel's value in them"
)]

mod call;
mod field;
mod geometry;
mod gup;
mod hist;
mod layout;
mod lost;
mod memremap;
mod page;
mod reader;
mod session;
mod span;
mod stack;
mod tables;
mod vmemmap;

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
