//! A Prometheus of our own on a loopback port, for as long as it is held.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::wait;
use crate::setup;

pub struct Prometheus {
    child: Child,
    address: SocketAddr,
}

const PATIENCE: Duration = Duration::from_mins(1);

impl Prometheus {
    /// With the configuration in that folder, where it keeps its data too.
    pub fn start(folder: &Path) -> Result<Self> {
        let program = setup::prometheus()?.context("no prometheus: run `cargo xtask setup`")?;
        // Nobody holds it until Prometheus does, which then says so if somebody was faster.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let log = File::create(folder.join("prometheus.log"))?;
        let child = Command::new(&program)
            .current_dir(folder)
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg("--log.level=warn")
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut started = Self { child, address };
        let ready = wait("Prometheus is ready", PATIENCE, || {
            if let Some(status) = started.child.try_wait()? {
                bail!("it ended: {status}");
            }
            Ok(get(address, "/-/ready").is_ok())
        });
        ready.with_context(|| {
            let log = folder.join("prometheus.log");
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!("Prometheus does not start: {}", said.trim())
        })?;
        Ok(started)
    }

    /// The series that an expression gives now: labels, and values as Prometheus writes them.
    pub fn query(&self, expr: &str) -> Result<Vec<Value>> {
        let path = format!("/api/v1/query?query={}", encoded(expr));
        let mut answer = self.json(&path)?;
        match answer["data"]["result"].take() {
            Value::Array(series) => Ok(series),
            other => bail!("{expr}: {other}"),
        }
    }

    /// The value of the first series; `None` if there is none.
    pub fn one(&self, expr: &str) -> Result<Option<f64>> {
        let series = self.query(expr)?;
        let value = series.first().and_then(|one| one["value"][1].as_str());
        Ok(value.and_then(|value| value.parse().ok()))
    }

    pub fn json(&self, path: &str) -> Result<Value> {
        let answer: Value = serde_json::from_str(&get(self.address, path)?)
            .with_context(|| format!("GET {path}: no JSON"))?;
        ensure!(answer["status"] == "success", "GET {path}: {answer}");
        Ok(answer)
    }

    /// What it says of itself.
    pub fn metrics(&self) -> Result<String> {
        get(self.address, "/metrics")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// By HTTP/1.0, to which nobody answers in chunks.
fn get(address: SocketAddr, path: &str) -> Result<String> {
    let fetch = || -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no end of headers")?;
        ensure!(head.split(' ').nth(1) == Some("200"), "{head}\n{body}");
        Ok(body.to_owned())
    };
    fetch().with_context(|| format!("GET http://{address}{path}"))
}

/// For a URL's query: everything but letters and digits by its bytes.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn queries_survive_a_url() {
        assert_eq!(super::encoded("a{b=~\".*\"}"), "a%7Bb%3D%7E%22%2E%2A%22%7D");
    }
}
