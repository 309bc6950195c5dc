//! What a daemon is told to do: plain values, wherever they came from.
//!
//! [`keys::KEYS`] is the one list of keys; [`resolve`] lays what is said by flags, variables and files over the defaults here.

mod change;
mod document;
mod error;
pub mod field;
mod file;
mod flags;
pub mod keys;
mod layers;
mod listen;
mod origin;
mod raw;
mod verb;
mod web;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

pub use self::{
    change::Change,
    error::Error,
    file::bytes,
    flags::RunArgs,
    layers::{Effective, from, resolve},
    origin::Origin,
    verb::{ConfigArgs, config},
};
use crate::load::Choice;

/// Read unless another is named; there need be none.
pub const FILE: &str = "/etc/daxscope/daxscope.toml";

/// Everything that `daxscope run` can be told. A key of the file, a flag and an environment variable have one name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a daemon")]
pub struct Config {
    /// Where to serve. Sockets that systemd hands over take the place of all of these.
    pub listen: Vec<Listen>,
    /// The web configuration of Prometheus' exporter-toolkit: TLS, headers, users, limits of rate.
    pub web_config: Option<PathBuf>,
    /// Whether an address that is not loopback may be served without TLS and without users.
    pub allow_insecure_remote: bool,
    /// Permissions of unix sockets.
    pub socket_mode: u32,
    pub limits: Limits,
    pub mechanism: Choice,
    /// The kernel's types, in place of /sys/kernel/btf/vmlinux.
    pub btf: Option<PathBuf>,
    pub latency: bool,
    pub track_holders: bool,
    pub self_cost: bool,
    pub bpf_log: bool,
    /// Whether privileges are given up once all is attached.
    pub drop: bool,
}

/// A place to serve on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listen {
    /// `127.0.0.1:9954`, `[::1]:9954`
    Tcp(SocketAddr),
    /// `unix:/run/daxscope/daxscope.sock`
    Unix(PathBuf),
}

/// What a client may take of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at one time, over all listeners; for one more, the one goes that has not got on for longest, and is counted.
    pub connections: usize,
    /// Requests in flight at one time; more are answered by 503.
    pub requests: usize,
    /// Until a request's headers must have come.
    pub header_timeout: Duration,
    /// No connection lives longer.
    pub connection_timeout: Duration,
    /// Bytes of a request's line and headers.
    pub header_bytes: usize,
    /// Headers of a request.
    pub headers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 9954)))],
            web_config: None,
            allow_insecure_remote: false,
            socket_mode: 0o660,
            limits: Limits::default(),
            mechanism: Choice::Auto,
            btf: None,
            latency: true,
            track_holders: false,
            self_cost: false,
            bpf_log: false,
            drop: true,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 128,
            requests: 32,
            header_timeout: Duration::from_secs(5),
            connection_timeout: Duration::from_mins(1),
            header_bytes: 16 * 1024,
            headers: 32,
        }
    }
}
