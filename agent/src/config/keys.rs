//! The one list of what a daemon can be told. Flags, variables of the environment, keys of files, `config show`,
//! docs/configure.md and deploy/daxscope.toml follow from it.

use std::time::Duration;

use serde_json::Value;

use super::{Config, field::Field};
use crate::near::nearest;

/// Something that can be set.
pub struct Key {
    /// In a file; as a flag with `--` before it; in the environment as [`Key::variable`].
    pub name: &'static str,
    /// With `no-` before it, of a [`Field::Switch`].
    pub no: &'static str,
    /// What stands for the value in `--help`; empty of a switch.
    pub value: &'static str,
    /// One line.
    pub about: &'static str,
    /// More, for docs/configure.md.
    pub more: &'static str,
    pub field: Field,
    /// Whether a running daemon takes a new value without attaching again.
    pub reloads: bool,
}

impl Key {
    /// The value that nobody gave; null if there is none.
    #[must_use]
    pub fn default(&self) -> Value {
        self.field.value(&Config::default())
    }

    /// `DAXSCOPE_WEB_CONFIG`
    #[must_use]
    pub fn variable(&self) -> String {
        format!("DAXSCOPE_{}", self.name.to_uppercase().replace('-', "_"))
    }
}

const fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub static KEYS: [Key; 17] = [
    Key {
        name: "listen",
        no: "",
        value: "ADDRESS",
        about: "Where to serve: 127.0.0.1:9954, [::1]:9954, unix:/PATH; may be repeated. Anything but loopback is open to \
                whoever can reach it",
        more: "A list takes the place of the one below it, it does not add to it; in the environment its parts are separated \
               by commas. Names of hosts are not looked up. An address that is not loopback is refused unless `web-config` \
               asks for TLS or for users, or `allow-insecure-remote` says that it is meant. Sockets that systemd hands over \
               take the place of all of these.",
        field: Field::Places(|config| &mut config.listen),
        reloads: false,
    },
    Key {
        name: "web-config",
        no: "",
        value: "FILE",
        about: "TLS, users and headers: the web configuration of Prometheus' exporter-toolkit, in YAML",
        more: "The same file that other exporters read. It is read again when it or its certificates change; a new one that \
               cannot be used is logged and counted, and the old one stays.",
        field: Field::File(|config| &mut config.web_config),
        reloads: true,
    },
    Key {
        name: "allow-insecure-remote",
        no: "no-allow-insecure-remote",
        value: "",
        about: "Serve addresses that are not loopback even without TLS and without users",
        more: "For a network that is trusted, or where something in front does both.",
        field: Field::Switch(|config| &mut config.allow_insecure_remote),
        reloads: false,
    },
    Key {
        name: "socket-mode",
        no: "",
        value: "MODE",
        about: "Permissions of unix sockets, in octal",
        more: "Who may write to a socket may connect to it. A peer by a unix socket counts as one of this host: it may ask \
               for holders.",
        field: Field::Mode(|config| &mut config.socket_mode),
        reloads: false,
    },
    Key {
        name: "max-connections",
        no: "",
        value: "N",
        about: "Connections at one time; for one more, the one is closed that has not got on for longest, and counted",
        more: "Of the client that has most of them: who floods displaces himself.",
        field: Field::Count(|config| &mut config.limits.connections, 1..=65536),
        reloads: true,
    },
    Key {
        name: "max-requests",
        no: "",
        value: "N",
        about: "Requests in flight at one time; more are answered by 503",
        more: "",
        field: Field::Count(|config| &mut config.limits.requests, 1..=65536),
        reloads: true,
    },
    Key {
        name: "header-timeout",
        no: "",
        value: "TIME",
        about: "A connection whose request has not come whole by then is closed",
        more: "Not longer than `connection-timeout`.",
        field: Field::Time(
            |config| &mut config.limits.header_timeout,
            second(1)..=second(300),
        ),
        reloads: true,
    },
    Key {
        name: "connection-timeout",
        no: "",
        value: "TIME",
        about: "No connection lives longer, whatever it is doing",
        more: "The handshake of TLS is in it.",
        field: Field::Time(
            |config| &mut config.limits.connection_timeout,
            second(1)..=second(3600),
        ),
        reloads: true,
    },
    Key {
        name: "max-header-bytes",
        no: "",
        value: "N",
        about: "Bytes of a request's line and headers; more are answered by 431",
        more: "",
        // hyper panics below 8192 (http1::Builder::max_buf_size).
        field: Field::Count(|config| &mut config.limits.header_bytes, 8192..=1 << 20),
        reloads: true,
    },
    Key {
        name: "max-headers",
        no: "",
        value: "N",
        about: "Headers of a request; more are answered by 431",
        more: "",
        field: Field::Count(|config| &mut config.limits.headers, 8..=1024),
        reloads: true,
    },
    Key {
        name: "mechanism",
        no: "",
        value: "MECHANISM",
        about: "How to attach: fentry is cheapest, but left out at times where the kernel preempts itself; kprobe misses \
                returns when many calls sleep at once; auto takes the better one for this kernel, then the other",
        more: "On a host with `kernel.perf_event_paranoid` above 2 (Debian and Ubuntu), kprobes need `CAP_SYS_ADMIN`.",
        field: Field::Mechanism(|config| &mut config.mechanism),
        reloads: false,
    },
    Key {
        name: "btf",
        no: "",
        value: "FILE",
        about: "Read the kernel's types from FILE instead of /sys/kernel/btf/vmlinux",
        more: "",
        field: Field::File(|config| &mut config.btf),
        reloads: false,
    },
    Key {
        name: "latency",
        no: "no-latency",
        value: "",
        about: "Count requests for user pages without timing them: cheaper, no durations, and no pins outstanding",
        more: "`true` times each request. [What it costs](cost.md).",
        field: Field::Switch(|config| &mut config.latency),
        reloads: false,
    },
    Key {
        name: "track-holders",
        no: "no-track-holders",
        value: "",
        about: "Remember who pins pages of devices, for `daxscope holders`; costs memory, and time in every such pin",
        more: "Needs `latency`. `daxscope holders` asks `127.0.0.1:9954`; where TLS or users are asked for, let it listen on a \
               unix socket too, and ask there: `--from unix:/PATH`.",
        field: Field::Switch(|config| &mut config.track_holders),
        reloads: false,
    },
    Key {
        name: "self-cost",
        no: "no-self-cost",
        value: "",
        about: "Let the kernel measure what each of our programs costs, and export it; costs time in every BPF program on the \
                host",
        more: "",
        field: Field::Switch(|config| &mut config.self_cost),
        reloads: false,
    },
    Key {
        name: "bpf-log",
        no: "no-bpf-log",
        value: "",
        about: "Log each loss as it happens in the kernel (rare; for debugging)",
        more: "",
        field: Field::Switch(|config| &mut config.bpf_log),
        reloads: false,
    },
    Key {
        name: "drop",
        no: "no-drop",
        value: "",
        about: "Keep all privileges after attaching (for debugging)",
        more: "`true` gives them up once all is attached: capabilities, and by NoNewPrivileges, Landlock and seccomp what \
               could bring them back. [The security model](security.md).",
        field: Field::Switch(|config| &mut config.drop),
        reloads: false,
    },
];

/// What was meant by a name that is none; `None` if it is like no key.
#[must_use]
pub fn meant(name: &str) -> Option<&'static str> {
    nearest(&name.replace('_', "-"), KEYS.iter().map(|key| key.name))
}

/// The same in words that go behind the name: `; did you mean listen?`
#[must_use]
pub fn hint(name: &str) -> String {
    match meant(name) {
        Some(key) => format!("; did you mean {key}?"),
        None => "; `daxscope config show` lists all".into(),
    }
}
