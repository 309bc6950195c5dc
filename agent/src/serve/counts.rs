//! What the server says of itself. All series are there from the start, and there are no others, whatever clients send.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hyper::StatusCode;

use crate::snapshot::{Kind, Metric, Sample};

pub static METRICS: &[&Metric] = &[
    &REQUESTS,
    &CONNECTIONS,
    &REJECTED,
    &RELOAD_SUCCESS,
    &RELOAD_FAILURES,
    &CERTIFICATE_EXPIRY,
];

static REQUESTS: Metric = Metric {
    name: "http_requests_total",
    kind: Kind::Counter,
    help: "Requests that were answered, by path (other: all other paths) and status code (4xx, 5xx: all others of these). \
           Source: the HTTP server.",
    labels: &["path", "code"],
};
static CONNECTIONS: Metric = Metric {
    name: "http_connections",
    kind: Kind::Gauge,
    help: "Connections that are open. Source: the HTTP server.",
    labels: &[],
};
static REJECTED: Metric = Metric {
    name: "http_connections_rejected_total",
    kind: Kind::Counter,
    help: "Connections that were cut: displaced (there were too many, and this one did nothing for longest), handshake (no TLS, or \
           a client that is not let in), malformed (no HTTP/1, or headers too large), header_timeout (no whole request in time), \
           stalled (did not take its answer), deadline (open for too long). Source: the HTTP server.",
    labels: &["reason"],
};
pub static RELOAD_SUCCESS: Metric = Metric {
    name: "web_config_reload_success",
    kind: Kind::Gauge,
    help: "1 if the web configuration in force is the one in its files, 0 if a new one is broken and the one before stays. Source: \
           the HTTP server.",
    labels: &[],
};
pub static RELOAD_FAILURES: Metric = Metric {
    name: "web_config_reload_failures_total",
    kind: Kind::Counter,
    help: "Times that a changed web configuration could not be put in force. Source: the HTTP server.",
    labels: &[],
};
pub static CERTIFICATE_EXPIRY: Metric = Metric {
    name: "web_certificate_expiry_timestamp_seconds",
    kind: Kind::Gauge,
    help: "When the certificate that is shown to clients expires, in seconds since 1970; absent without TLS. Source: its notAfter.",
    labels: &[],
};

const PATHS: [&str; 3] = ["/metrics", "/readyz", "other"];
const CODES: [&str; 4] = ["200", "401", "4xx", "5xx"];

/// Why a connection was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Displaced,
    Handshake,
    Malformed,
    HeaderTimeout,
    Stalled,
    Deadline,
}

impl Reason {
    const ALL: [Self; 6] = [
        Self::Displaced,
        Self::Handshake,
        Self::Malformed,
        Self::HeaderTimeout,
        Self::Stalled,
        Self::Deadline,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Displaced => "displaced",
            Self::Handshake => "handshake",
            Self::Malformed => "malformed",
            Self::HeaderTimeout => "header_timeout",
            Self::Stalled => "stalled",
            Self::Deadline => "deadline",
        }
    }
}

#[derive(Debug, Default)]
pub struct Counts {
    requests: [[AtomicU64; CODES.len()]; PATHS.len()],
    rejected: [AtomicU64; Reason::ALL.len()],
}

impl Counts {
    pub fn answered(&self, path: &str, status: StatusCode) {
        let path = PATHS.iter().position(|known| *known == path);
        let path = path.unwrap_or(PATHS.len() - 1);
        let code = match status.as_u16() {
            401 => 1,
            400..500 => 2,
            500.. => 3,
            _ => 0,
        };
        self.requests[path][code].fetch_add(1, Relaxed);
    }

    pub fn cut(&self, reason: Reason) {
        self.rejected[reason as usize].fetch_add(1, Relaxed);
    }

    pub fn samples(&self, open: usize) -> Vec<Sample> {
        let mut samples = vec![CONNECTIONS.count([], open as u64)];
        for (path, codes) in PATHS.iter().zip(&self.requests) {
            for (code, count) in CODES.iter().zip(codes) {
                samples.push(REQUESTS.count([path, code], count.load(Relaxed)));
            }
        }
        for reason in Reason::ALL {
            let count = self.rejected[reason as usize].load(Relaxed);
            samples.push(REJECTED.count([reason.name()], count));
        }
        samples
    }
}

/// All series that there can be.
#[cfg(test)]
#[must_use]
pub fn worst() -> Vec<Sample> {
    let current = [&RELOAD_SUCCESS, &RELOAD_FAILURES, &CERTIFICATE_EXPIRY];
    let current = current.map(|metric| metric.count([], 1));
    let mut samples = Counts::default().samples(0);
    samples.extend(current);
    samples
}
