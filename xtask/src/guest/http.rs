//! As much of an HTTP client as a scrape needs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Body of a GET, over plain HTTP/1.1 with one request a connection.
pub fn get(address: SocketAddr, path: &str) -> Result<String> {
    let limit = Duration::from_secs(20);
    let fetch = || -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        body(&answer).map(str::to_owned)
    };
    fetch().with_context(|| format!("GET http://{address}{path}"))
}

fn body(answer: &str) -> Result<&str> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the answer has no end of headers")?;
    let status = head.lines().next().unwrap_or_default();
    ensure!(
        status.split(' ').nth(1) == Some("200"),
        "answered {status:?}"
    );
    let header = |name: &str| {
        let find = |line: &str| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        };
        head.lines().find_map(find)
    };
    ensure!(
        header("transfer-encoding").is_none(),
        "the answer is chunked, which this client does not read"
    );
    if let Some(length) = header("content-length") {
        ensure!(
            length == body.len().to_string(),
            "{} bytes came, Content-Length is {length}",
            body.len()
        );
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_must_be_complete_and_ok() {
        assert_eq!(
            body("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap(),
            "ok"
        );
        assert!(body("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok").is_err());
        assert!(body("HTTP/1.1 503 Service Unavailable\r\n\r\nno").is_err());
        assert!(body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n").is_err());
        assert!(body("HTTP/1.1 200 OK\r\n").is_err());
    }
}
