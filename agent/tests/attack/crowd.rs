//! Many connections at one time.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::client::{Target, figure, status};

/// For so long they stay.
const STAY: Duration = Duration::from_secs(4);

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a number of clients"
)]
fn part(of: u32, size: f64) -> usize {
    ((f64::from(of) * size) as usize).max(2)
}

fn connections(target: &Target, count: usize) -> Result<Vec<TcpStream>, String> {
    let one = |index| {
        let stream = target
            .connect()
            .map_err(|error| format!("connection {index}: {error}"))?;
        stream
            .set_nonblocking(true)
            .map_err(|error| error.to_string())?;
        Ok(stream)
    };
    (0..count).map(one).collect()
}

/// Whether the other end is gone.
fn gone(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 4096]) {
        Ok(n) => n == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// Waits until the server has closed them all.
fn all_gone(mut streams: Vec<TcpStream>, within: Duration) -> Result<(), String> {
    let end = Instant::now() + within;
    while !streams.is_empty() {
        streams.retain_mut(|stream| !gone(stream));
        if Instant::now() > end {
            return Err(format!(
                "{} connections are still open after {within:?}",
                streams.len()
            ));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A byte now and then, of a request that never ends; who is cut comes again.
pub fn slow(target: &Target, size: f64) -> Result<String, String> {
    let request = target.request("/metrics").into_bytes();
    let count = part(1000, size);
    let mut streams = connections(target, count)?;
    let end = Instant::now() + STAY.mul_f64(size.max(0.1));
    let (mut at, mut again) = (0, 0);
    while Instant::now() < end {
        for stream in &mut streams {
            let byte = &request[at % (request.len() - 4)..][..1];
            if gone(stream) || stream.write_all(byte).is_err() {
                *stream = connections(target, 1)?.remove(0);
                again += 1;
            }
        }
        at += 1;
        thread::sleep(Duration::from_millis(100));
    }
    all_gone(streams, Duration::from_secs(10))?;
    Ok(format!(
        "{count} connections, a byte each 100 ms, {again} came again"
    ))
}

/// As many as there can be, as fast as they can come, that say nothing; then a thousand each second come again.
pub fn flood(target: &Target, size: f64) -> Result<String, String> {
    let count = part(5000, size);
    let before = figure(
        target,
        "daxscope_http_connections_rejected_total{reason=\"displaced\"}",
    )?;
    let mut streams = thread::scope(|scope| {
        let half = || scope.spawn(|| connections(target, count / 2));
        let halves = [half(), half()];
        let mut all = vec![];
        for half in halves {
            all.extend(half.join().map_err(|_| "a client panicked")??);
        }
        Ok::<_, String>(all)
    })?;
    let end = Instant::now() + STAY.mul_f64(size.max(0.1));
    let mut next = 0;
    while Instant::now() < end {
        for _ in 0..10 {
            next = (next + 1) % streams.len();
            streams[next] = connections(target, 1)?.remove(0);
        }
        thread::sleep(Duration::from_millis(10));
    }
    all_gone(streams, Duration::from_secs(10))?;
    let displaced = figure(
        target,
        "daxscope_http_connections_rejected_total{reason=\"displaced\"}",
    )? - before;
    if count > 1000 && displaced < 1.0 {
        return Err("none was displaced: this was no flood".into());
    }
    Ok(format!("{count} connections, {displaced} displaced"))
}

/// Asks once, and stays.
pub fn idle(target: &Target, size: f64) -> Result<String, String> {
    let count = part(1000, size);
    let mut streams = vec![];
    for _ in 0..count {
        let mut stream = target.connect().map_err(|error| error.to_string())?;
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        let _ = stream.read(&mut [0; 1024]);
        stream
            .set_nonblocking(true)
            .map_err(|error| error.to_string())?;
        streams.push(stream);
    }
    all_gone(streams, Duration::from_secs(10))?;
    Ok(format!("{count} connections that asked once"))
}

/// Asks for everything many times, and reads nothing of it.
pub fn deaf(target: &Target, size: f64) -> Result<String, String> {
    let count = part(100, size);
    let before = cut(target)?;
    let mut streams = vec![];
    for _ in 0..count {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
            .map_err(|error| error.to_string())?;
        // So that what is not read does not fit anywhere.
        socket
            .set_recv_buffer_size(1024)
            .map_err(|error| error.to_string())?;
        socket
            .connect(&target.address.into())
            .map_err(|error| error.to_string())?;
        let mut stream = TcpStream::from(socket);
        let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
        let _ = stream.write_all(&request);
        streams.push(stream);
    }
    let end = Instant::now() + Duration::from_secs(15);
    let full_size = count > 50;
    loop {
        // Reading would let them go on: how many are open is asked of the server.
        let open = figure(target, "daxscope_http_connections ")?;
        if open <= 2.0 {
            break;
        }
        if Instant::now() > end {
            return Err(format!("{open} of {count} are still connected"));
        }
        thread::sleep(Duration::from_millis(100));
    }
    let cut = cut(target)? - before;
    if full_size && cut < f64::from(u32::try_from(count).unwrap_or(0)) {
        return Err(format!("of {count} that did not read, {cut} were cut"));
    }
    Ok(format!("{count} connections that never read, {cut} cut"))
}

fn cut(target: &Target) -> Result<f64, String> {
    let mut sum = 0.0;
    for reason in ["stalled", "deadline", "displaced"] {
        sum += figure(
            target,
            &format!("daxscope_http_connections_rejected_total{{reason=\"{reason}\"}}"),
        )?;
    }
    Ok(sum)
}

/// What clients count of two outcomes, all at one time, together. Each is given its number.
fn counted(
    clients: usize,
    client: impl Fn(usize) -> Result<[u32; 2], String> + Sync,
) -> Result<[u32; 2], String> {
    thread::scope(|scope| {
        let client = &client;
        let start = |number| scope.spawn(move || client(number));
        let clients: Vec<_> = (0..clients).map(start).collect();
        let mut sum = [0; 2];
        for client in clients {
            let [one, other] = client.join().map_err(|_| "a client panicked")??;
            sum = [sum[0] + one, sum[1] + other];
        }
        Ok(sum)
    })
}

/// Real scrapes, from many at one time, again and again.
pub fn eager(target: &Target, size: f64) -> Result<String, String> {
    let end = Instant::now() + STAY.mul_f64(size.max(0.1));
    let request = target.request("/metrics").into_bytes();
    let [served, later] = counted(20, |_| {
        let mut counts = [0; 2];
        while Instant::now() < end {
            let answer = target.ask(&request).map_err(|error| error.to_string())?;
            match status(&answer) {
                Some(200) => counts[0] += 1,
                Some(503) => counts[1] += 1,
                other => return Err(format!("a scrape was answered with {other:?}")),
            }
        }
        Ok(counts)
    })?;
    Ok(format!(
        "20 clients, {served} scrapes, {later} told to come later"
    ))
}

/// Greetings that stop in their middle.
pub fn half_greeted(target: &Target, size: f64) -> Result<String, String> {
    let mut streams = connections(target, part(500, size))?;
    let count = streams.len();
    // The head of a record that holds a ClientHello of 512 bytes, and some of these.
    let half = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 100]].concat();
    for stream in &mut streams {
        let _ = stream.write_all(&half);
    }
    all_gone(streams, Duration::from_secs(10))?;
    Ok(format!("{count} connections"))
}

/// Passwords that are wrong, each another one: each costs the server a check.
pub fn passwords(target: &Target, size: f64) -> Result<String, String> {
    const CLIENTS: usize = 4;
    let count = part(60, size);
    let wrong = |index: usize| {
        let user = ["ann", "bob"][index % 2];
        let wrong = BASE64_STANDARD.encode(format!("{user}:{index}"));
        let head = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close";
        let request = format!("{head}\r\nAuthorization: Basic {wrong}\r\n\r\n");
        target.ask(request.as_bytes())
    };
    let [refused, later] = counted(CLIENTS, |first| {
        let mut counts = [0; 2];
        for index in (first..count).step_by(CLIENTS) {
            let answer = wrong(index).map_err(|error| error.to_string())?;
            match status(&answer) {
                Some(401) => counts[0] += 1,
                Some(503) => counts[1] += 1,
                other => return Err(format!("a wrong password was answered with {other:?}")),
            }
        }
        Ok(counts)
    })?;
    if refused == 0 {
        return Err("none was refused".into());
    }
    Ok(format!(
        "{count} wrong passwords: {refused} refused, {later} told to come later"
    ))
}
