//! Clients by hand: what they send, no library would.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};

use crate::tls::Guard;

/// Nobody waits longer for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);

pub struct Target {
    /// The server's process; its one thread serves.
    pub pid: u32,
    pub address: SocketAddr,
    pub guard: Option<Guard>,
}

impl Target {
    pub fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// By TLS where the server wants it.
    pub fn open(&self) -> io::Result<Box<dyn Stream>> {
        let stream = self.connect()?;
        let Some(guard) = &self.guard else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(guard.client.clone(), name).map_err(io::Error::other)?;
        Ok(Box::new(StreamOwned::new(client, stream)))
    }

    /// The whole answer to a request, of a connection that ends with it.
    pub fn ask(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = self.open()?;
        stream.write_all(request)?;
        rest(&mut stream)
    }

    /// A scrape as it should be.
    pub fn request(&self, path: &str) -> String {
        let right = self
            .guard
            .as_ref()
            .map(|guard| format!("Authorization: {}\r\n", guard.right));
        let right = right.unwrap_or_default();
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{right}Connection: close\r\n\r\n")
    }
}

pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// What still comes. That the other end closes without a word of TLS, or resets, is an end too.
pub fn rest(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut all = vec![];
    let mut part = [0; 16 << 10];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return Ok(all),
            Ok(n) => all.extend_from_slice(&part[..n]),
            Err(error)
                if [
                    io::ErrorKind::UnexpectedEof,
                    io::ErrorKind::ConnectionReset,
                    io::ErrorKind::BrokenPipe,
                ]
                .contains(&error.kind()) =>
            {
                return Ok(all);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The status of an answer; `None` if it is none.
pub fn status(answer: &[u8]) -> Option<u16> {
    let line = answer
        .strip_prefix(b"HTTP/1.1 ")
        .or(answer.strip_prefix(b"HTTP/1.0 "))?;
    str::from_utf8(line.get(..3)?).ok()?.parse().ok()
}

fn scrape(target: &Target) -> Result<String, String> {
    let answer = target.ask(target.request("/metrics").as_bytes());
    let answer = answer.map_err(|error| format!("a scrape failed: {error}"))?;
    match status(&answer) {
        Some(200) => Ok(String::from_utf8_lossy(&answer).into_owned()),
        other => Err(format!("a scrape was answered with {other:?}")),
    }
}

/// One series of the server's.
pub fn figure(target: &Target, series: &str) -> Result<f64, String> {
    let text = scrape(target)?;
    let value = text.lines().find_map(|line| line.strip_prefix(series));
    let value = value.and_then(|value| value.trim().parse().ok());
    value.ok_or_else(|| format!("{series} is not in the scrape"))
}

/// All that the server has counted of its clients, and is not 0.
pub fn counted(target: &Target) -> Result<String, String> {
    let text = scrape(target)?;
    let of_clients = |line: &&str| line.starts_with("daxscope_http_") && !line.ends_with(" 0");
    let lines: Vec<_> = text
        .lines()
        .filter(of_clients)
        .map(|line| line.trim_start_matches("daxscope_http_"))
        .collect();
    Ok(lines.join(", "))
}
