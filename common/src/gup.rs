//! Room gup: user pages that the kernel gets or pins, and pins that it gives back.

use crate::{ERRNOS, hist::Hist, pod};

/// Calls of one entry point for one geometry; indexed by `point * geometry::SLOTS + slot`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gup {
    pub calls: u64,
    pub pages: u64,
    /// Of the calls whose beginning was seen; the others are in the `LOST` map.
    pub duration: Hist,
}
const _: () = assert!(size_of::<Gup>() == 16 + size_of::<Hist>());

/// Failed calls of one entry point, by errno.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GupErrors {
    pub by_errno: [u64; ERRNOS],
}
const _: () = assert!(size_of::<GupErrors>() == 8 * ERRNOS);
pod!(Gup, GupErrors);
