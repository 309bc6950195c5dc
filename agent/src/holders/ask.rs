//! Asks a daemon, by HTTP.

use std::{
    io::{ErrorKind, Read, Result as Io, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

use super::Report;
use crate::config::Listen;

/// Where a daemon tells it.
pub const PATH: &str = "/holders";
/// A daemon on this host answers in milliseconds, with its symbols in a second at most.
const TIMEOUT: Duration = Duration::from_secs(10);
/// More bytes than any answer has: it is as long as the daemon's table of holders.
const MOST: u64 = 64 << 20;
/// How to have it told.
const REMEDY: &str = "`daxscope run --track-holders` watches from its start on";
/// How to ask one that is guarded.
const SOCKET: &str = "let it listen on a unix socket too, and ask there, by --from unix:/PATH";

/// What a daemon knows of who holds pins.
///
/// # Errors
/// Why it cannot be told, with the remedy.
pub fn ask(daemon: &Listen) -> Result<Report, String> {
    let answer = get(daemon).map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => {
            format!("no daemon listens on {daemon}; {REMEDY}")
        }
        _ => format!("no daemon answers on {daemon}: {error}; {REMEDY}"),
    })?;
    let (status, body) = parse(&answer).ok_or_else(|| {
        format!("what answers on {daemon} is no daxscope, was cut off, or speaks TLS: {SOCKET}")
    })?;
    match status {
        200 => serde_json::from_slice(body)
            .ok()
            .and_then(|told| Report::from_json(&told))
            .ok_or_else(|| {
                format!("what answers on {daemon} is no daxscope, or one of another version")
            }),
        404 => Err(format!(
            "the daemon on {daemon} does not track holders; {REMEDY}"
        )),
        401 => Err(format!("the daemon on {daemon} wants a password: {SOCKET}")),
        403 => Err(format!(
            "the daemon on {daemon} tells only its own host: ask from there, by a loopback address"
        )),
        other => Err(format!(
            "the daemon on {daemon} could not tell (HTTP status {other}); its log says more"
        )),
    }
}

fn get(daemon: &Listen) -> Io<Vec<u8>> {
    match daemon {
        Listen::Tcp(address) => {
            let stream = TcpStream::connect_timeout(address, TIMEOUT)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            say(stream, &address.to_string())
        }
        Listen::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            say(stream, "localhost")
        }
    }
}

fn say(mut stream: impl Read + Write, host: &str) -> Io<Vec<u8>> {
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = vec![];
    stream.take(MOST).read_to_end(&mut answer)?;
    Ok(answer)
}

/// Status and body of an answer of our own server, which always says how long the body is; `None` if it is not whole.
fn parse(answer: &[u8]) -> Option<(u16, &[u8])> {
    const END: &[u8] = b"\r\n\r\n";
    let end = answer.windows(END.len()).position(|bytes| bytes == END)?;
    let head = str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let version = words.next()?;
    let status = words.next()?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let length = name.eq_ignore_ascii_case("content-length");
        length.then(|| value.trim().parse::<usize>().ok())?
    })?;
    let body = answer.get(end + END.len()..)?;
    (version.starts_with("HTTP/1.") && body.len() == length).then_some((status, body))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn only_a_whole_answer_is_one() {
        let answer =
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(parse(answer), Some((200, &b"hello"[..])));
        for cut in 0..answer.len() {
            assert_eq!(parse(&answer[..cut]), None, "{cut}");
        }
        let more = [&answer[..], b"!"].concat();
        assert_eq!(parse(&more), None);
        for other in [
            "SSH-2.0-OpenSSH_10.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nhello",
            "HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        ] {
            assert_eq!(parse(other.as_bytes()), None, "{other}");
        }
    }

    /// What `ask` says of a server that gives this answer.
    fn of(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 1024];
            let n = stream.read(&mut request).expect("a request");
            assert!(request[..n].starts_with(b"GET /holders HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).expect("answers");
        });
        let words = ask(&Listen::Tcp(address)).expect_err("no report");
        server.join().expect("it ends");
        words
    }

    #[test]
    fn why_nothing_is_told_comes_with_what_to_do() {
        for (answer, words) in [
            (
                "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno",
                "--track-holders",
            ),
            (
                "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
                "loopback",
            ),
            (
                "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
                "password",
            ),
            ("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", "500"),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
                "another version",
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", "cut off"),
            ("", "TLS"),
        ] {
            let said = of(answer);
            assert!(said.contains(words), "{answer}: {said}");
        }
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let socket = std::env::temp_dir().join("daxscope-no-such.sock");
        for nobody in [Listen::Tcp(address), Listen::Unix(socket)] {
            let said = ask(&nobody).expect_err("nobody listens");
            assert!(
                said.contains("no daemon listens") && said.contains("--track-holders"),
                "{said}"
            );
        }
    }
}
