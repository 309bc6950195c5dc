//! Room gup: user pages that the kernel gets or pins, and pins that it gives back.

use crate::{ERRNOS, hist::Hist, pod};

/// Calls of one entry point for one geometry; indexed by `point * geometry::SLOTS + slot`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gup {
    pub calls: u64,
    pub pages: u64,
    /// Of the calls, those of whose pages not all were told apart: some are counted as their neighbours are.
    pub sampled_calls: u64,
    /// Of the calls and pages, those asked for with `FOLL_LONGTERM`.
    pub longterm_calls: u64,
    pub longterm_pages: u64,
    /// Of the calls whose beginning was seen; the others are in the `LOST` map.
    pub duration: Hist,
}
const _: () = assert!(size_of::<Gup>() == 40 + size_of::<Hist>());

/// Failed calls of one entry point, by errno.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GupErrors {
    pub by_errno: [u64; ERRNOS],
}
const _: () = assert!(size_of::<GupErrors>() == 8 * ERRNOS);

/// Pages of one pagemap that were pinned and given back under watch. What the kernel gives back inside a request is in
/// neither: the request does not return it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    pub acquired: u64,
    pub released: u64,
}
const _: () = assert!(size_of::<Pinned>() == 16);
pod!(Gup, GupErrors, Pinned);

/// Pagemaps whose pins are counted at one time.
pub const PINNED_PAGEMAPS: u32 = 1024;
