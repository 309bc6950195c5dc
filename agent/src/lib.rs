//! daxscope: struct-page geometry, memory-map populate latency and page pinning on hosts with persistent memory.
//!
//! One direction of flow: probe → map → [`probes`] → [`snapshot::Snapshot`] → [`metrics`] → [`serve`].

pub mod advise;
pub mod bench;
pub mod check;
pub mod cli;
pub mod config;
pub mod confine;
pub mod diff;
pub mod errno;
pub mod events;
pub mod holders;
pub mod inventory;
pub mod kernel;
pub mod list;
pub mod load;
pub mod manual;
pub mod metrics;
mod near;
pub mod page;
pub mod probes;
pub mod record;
pub mod report;
pub mod run;
pub mod serve;
pub mod session;
pub mod snapshot;
pub mod text;
pub mod top;
pub mod trace;

/// Version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Git revision of this build; `unknown` outside a checkout.
pub const REVISION: &str = env!("DAXSCOPE_REVISION");
