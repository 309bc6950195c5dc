//! The eBPF object: its maps are made, as large as what is asked for needs them.

use anyhow::{Context as _, Result};
use aya::{Ebpf, include_bytes_aligned};
use daxscope_common::{layout::Layout, session::Session, tables::Paging};

use super::{Failure, Options, loader};
use crate::probes::{holders, session};

/// The kernel side, built by `build.rs`; empty in a debug build on a machine without the tools for it.
pub static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/daxscope.bpf.o"));

/// Makes the maps, and tells the object what it is to know.
pub(super) fn create(
    bytes: &[u8],
    layout: &Layout,
    paging: &Paging,
    options: &Options,
) -> Result<Ebpf> {
    // Levels of aya-log are those of `log::Level`; 0 lets the verifier remove every log statement.
    let level = if options.log {
        log::Level::Warn as u8
    } else {
        0
    };
    let mut loader = loader();
    if !options.holders {
        for map in holders::MAPS {
            loader.map_max_entries(map, 1);
        }
    }
    let wants = options.session.as_ref();
    for map in session::unused(wants) {
        loader.map_max_entries(map, 1);
    }
    if wants.is_some() {
        // Threads that share a slot are few, and making room for many is what takes longest.
        loader.map_max_entries("GUP_SPANS", 1024);
    }
    let session = wants.map_or(Session::OFF, |wants| wants.session);
    if session.events == 0 {
        // A ring has whole pages.
        loader.map_max_entries(session::EVENTS, 1 << layout.page_shift);
    }
    loader
        .override_global("LAYOUT", layout, true)
        .override_global("PAGING", paging, true)
        .override_global("SESSION", &session, true)
        .override_global("AYA_LOG_LEVEL", &level, false)
        .load(bytes)
        .map_err(|error| anyhow::anyhow!("{}", Failure::of(&error)))
        .context("cannot create the eBPF maps")
}
