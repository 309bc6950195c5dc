//! Geometry slots: which column of the per-geometry arrays belongs to which page size.
//!
//! A geometry is a value, `PAGE_SIZE << vmemmap_shift`, not an enum: the kernel side gives each
//! shift a slot when it first meets it, and user space reads back which shift owns which slot.

/// Slot of pages that belong to no `dev_pagemap`.
pub const SYSTEM: u32 = 0;
/// Slot of everything whose geometry cannot be told (no page was returned, or memory was unreadable).
pub const UNKNOWN: u32 = 1;
/// First slot that is handed out to a `vmemmap_shift`.
pub const FIRST: u32 = 2;
/// Slots in all. x86-64 has three geometries (4K, 2M, 1G: `dax_align_valid`, drivers/dax/dax-private.h),
/// so six leave room; a seventh is counted as [`crate::lost::GEOMETRY_SLOTS`] and goes to [`UNKNOWN`].
pub const SLOTS: usize = 8;
/// Shifts that can be looked up: `PAGE_SIZE << 63` is beyond any address.
pub const SHIFTS: u32 = 64;
