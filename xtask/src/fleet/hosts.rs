//! Simulated hosts: one server that answers for all of them with a real exposition, in which counters grow and gauges differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};

use super::{ill, own_net};

/// This one has all that is in [`ill`].
pub const ILL: usize = 0;
/// This one answers nothing.
pub const DOWN: usize = 1;

pub struct Hosts {
    port: u16,
    pub count: usize,
}

/// Requests that are answered at one time.
const THREADS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(10);
/// Scrapes that wait for their turn.
const BACKLOG: i32 = 1024;

impl Hosts {
    pub fn start(template: &str, count: usize) -> Result<Self> {
        let listener = listen().context("cannot get a loopback port for the simulated hosts")?;
        let port = listener.local_addr()?.port();
        let answers = Arc::new(Answers {
            healthy: lines(template),
            ill: lines(&ill::exposition(template)?),
            began: Instant::now(),
        });
        for _ in 0..THREADS {
            let (listener, answers) = (listener.try_clone()?, Arc::clone(&answers));
            // They end with this process.
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    // Who hangs up early is asked for again.
                    let _ = answers.serve(stream);
                }
            });
        }
        Ok(Self { port, count })
    }

    /// The `instance` that the configuration makes of its address.
    pub fn name(host: usize) -> String {
        address(host).to_string()
    }

    /// As Prometheus' file discovery reads them.
    pub fn targets(&self) -> serde_json::Value {
        let target = |host: usize| {
            serde_json::json!({
                "targets": [format!("{}:{}", address(host), self.port)],
                "labels": {"cluster": if host.is_multiple_of(2) { "even" } else { "odd" }},
            })
        };
        (0..self.count).map(target).collect()
    }
}

/// At every address of the loopback device, and no other device: a host for each.
fn listen() -> Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind_device(Some(b"lo"))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn address(host: usize) -> Ipv4Addr {
    // Never cut: the number of hosts is below 255 times 250.
    #[expect(clippy::cast_possible_truncation, reason = "as said")]
    own_net((host / 250) as u8, (1 + host % 250) as u8)
}

/// The host at an address.
fn host(at: SocketAddr) -> Option<usize> {
    let SocketAddr::V4(at) = at else {
        return None;
    };
    let [_, _, hundreds, rest] = at.ip().octets();
    Some(usize::from(hundreds) * 250 + usize::from(rest.checked_sub(1)?))
}

struct Answers {
    healthy: Vec<Line>,
    ill: Vec<Line>,
    began: Instant,
}

/// A line of the template.
enum Line {
    /// A comment.
    Same(String),
    /// A series, its value, and how that changes.
    Series(String, f64, Change),
}

#[derive(Clone, Copy)]
enum Change {
    Constant,
    /// Grows with time; all of a host by the same factor, so that buckets still add up.
    Counter,
    /// Differs from host to host; all of a host by the same factor.
    Device,
}

fn lines(template: &str) -> Vec<Line> {
    let mut kinds = BTreeMap::new();
    let line = |line: &str| {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap_or((typed, ""));
            kinds.insert(name.to_owned(), kind.to_owned());
        }
        let series = line.rsplit_once(' ').filter(|_| !line.starts_with('#'));
        let Some((series, Ok(value))) = series.map(|(series, value)| (series, value.parse()))
        else {
            return Line::Same(line.to_owned());
        };
        let name = series.split('{').next().unwrap_or(series);
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| {
                name.strip_suffix(end)
                    .filter(|base| kinds.contains_key(*base))
            })
            .unwrap_or(name);
        let change = match kinds.get(family).map(String::as_str) {
            Some("counter" | "histogram") => Change::Counter,
            Some("gauge") if is_size(name) => Change::Device,
            _ => Change::Constant,
        };
        Line::Series(series.to_owned(), value, change)
    };
    template.lines().map(line).collect()
}

/// What is larger on a host with larger devices.
fn is_size(name: &str) -> bool {
    let of_device = name.starts_with("daxscope_pagemap_");
    let ends = ["_bytes", "_pages"];
    (of_device && ends.iter().any(|end| name.ends_with(end))) || name == "daxscope_struct_pages"
}

impl Answers {
    fn serve(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let request = super::request(&stream)?;
        let host = host(stream.local_addr()?).filter(|_| request.starts_with("GET /metrics "));
        let (status, body) = match host {
            Some(DOWN) | None => ("503 Service Unavailable", String::new()),
            Some(host) => ("200 OK", self.exposition(host)),
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )?;
        Ok(())
    }

    fn exposition(&self, host: usize) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let own = (1 + host % 4) as f64;
        #[expect(clippy::cast_precision_loss, reason = "seconds")]
        let grown = own * (10 + self.began.elapsed().as_secs()) as f64;
        let mut text = String::with_capacity(1 << 16);
        let lines = if host == ILL {
            &self.ill
        } else {
            &self.healthy
        };
        for line in lines {
            // Writing to a String cannot fail.
            let _ = match line {
                Line::Same(line) => writeln!(text, "{line}"),
                Line::Series(series, value, change) => {
                    let factor = match change {
                        Change::Constant => 1.0,
                        Change::Counter => grown,
                        Change::Device => own,
                    };
                    writeln!(text, "{series} {}", value * factor)
                }
            };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "# TYPE x_seconds histogram\nx_seconds_bucket{le=\"1\"} 2\nx_seconds_count 3\n\
                            # TYPE daxscope_ready gauge\ndaxscope_ready 1\n# TYPE y_total counter\ny_total{a=\"b c\"} 5\n";

    #[test]
    fn counters_of_a_host_grow_by_one_factor() {
        let answers = Answers {
            healthy: lines(TEMPLATE),
            ill: lines("daxscope_ready 0"),
            began: Instant::now(),
        };
        let text = answers.exposition(6);
        assert!(
            text.contains("x_seconds_bucket{le=\"1\"} 60\nx_seconds_count 90\n"),
            "{text}"
        );
        assert!(
            text.contains("\ndaxscope_ready 1\n") && text.contains("y_total{a=\"b c\"} 150\n"),
            "{text}"
        );
        assert!(answers.exposition(ILL).contains("daxscope_ready 0\n"));
    }
}
