//! A session: somebody looks, for a while, at calls that they choose, by what they choose.
//!
//! One direction of flow, as in the daemon: probe → map → [`recording::Recording`] → [`table::Table`] → a view. A recording
//! is plain values, whether it comes from the kernel now or from a file.

pub mod asked;
pub mod by;
pub mod cgroups;
pub mod diff;
pub mod event;
pub mod file;
pub mod filters;
pub mod live;
pub mod losses;
pub mod naming;
pub mod output;
pub mod recording;
pub mod sieve;
pub mod table;
pub mod tally;
pub mod until;
pub mod users;
pub mod views;
