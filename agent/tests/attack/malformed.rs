//! Requests that are none, made by a grammar that goes wrong in many places; by a seed, so that they are the same each time.

use std::{io::Write as _, sync::Mutex, thread};

use crate::client::{Target, rest, status};

const REQUESTS: u32 = 100_000;
/// Each of these costs a greeting, which is a thousand times the work of a request.
const BY_TLS: u32 = 2_000;
/// Clients at one time.
const CLIENTS: u32 = 4;

/// xorshift64*: any generator would do, and this one is three lines.
struct Dice(u64);

impl Dice {
    fn new(seed: u32) -> Self {
        Self(u64::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap_or(0)
    }

    fn one<'a>(&mut self, of: &[&'a [u8]]) -> &'a [u8] {
        of[self.below(of.len())]
    }

    /// In one of so many cases.
    fn rarely(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let n = self.below(most);
        (0..n).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

const METHODS: &[&[u8]] = &[
    b"GET",
    b"HEAD",
    b"POST",
    b"get",
    b"",
    b"G\0T",
    b"GET ",
    b"CONNECT",
    b"PRI",
    b"\x16\x03\x01",
    b"G\xc3\x89T",
    b"BREW",
    b"OPTIONS",
    b"TRACE",
];
const PATHS: &[&[u8]] = &[
    b"/metrics",
    b"/",
    b"",
    b"*",
    b"//",
    b"/../../etc/passwd",
    b"/%00",
    b"/\xff\xfe",
    b"http://x/metrics",
    b"http://",
    b"/a b",
    b"/metrics#x",
    b"/metrics?\x01",
    b"://",
    b"/holders",
    b"/readyz\t",
    b"host:1",
];
const VERSIONS: &[&[u8]] = &[
    b" HTTP/1.1",
    b" HTTP/1.0",
    b" HTTP/0.9",
    b" HTTP/2.0",
    b" HTTP/11",
    b" http/1.1",
    b"",
    b" HTTP/1.",
    b" HTTP/1.1 ",
    b" \xff",
    b" HTTP/9999999999.1",
];
const ENDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"",
    b"\0\r\n",
    b"\r\r\n",
    b"\x0b\r\n",
];
const HEADERS: &[&[u8]] = &[
    b"Host: x",
    b"Host",
    b": x",
    b" folded",
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Content-Length: 1, 2",
    b"Content-Length: 18446744073709551616",
    b"Content-Length: 99999999",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: xchunked",
    b"Connection: upgrade",
    b"Upgrade: h2c",
    b"Expect: 100-continue",
    b"Expect: 200-ok",
    b"Accept: ;;;q=,",
    b"Accept: application/openmetrics-text;q=9",
    b"Accept-Encoding: gzip;q=zzz",
    b"Authorization: Basic",
    b"Authorization: Basic ////",
    b"Authorization: \xff\xfe",
    b"X\0Y: z",
    b"X: a\0b",
    b"X\r: y",
    b"(): x",
    b"X : y",
    b"Range: bytes=0-0,-1",
    b"\xf0\x9f: x",
];

/// A request with at least one thing wrong with it.
fn request(dice: &mut Dice) -> Vec<u8> {
    let mut text = vec![];
    if dice.rarely(20) {
        return dice.bytes(300);
    }
    if dice.rarely(10) {
        text.extend(b"\r\n".repeat(dice.below(5)));
    }
    text.extend(dice.one(METHODS));
    text.push(if dice.rarely(10) { b'\t' } else { b' ' });
    text.extend(dice.one(PATHS));
    text.extend(dice.one(VERSIONS));
    text.extend(dice.one(ENDS));
    for _ in 0..dice.below(6) {
        text.extend(dice.one(HEADERS));
        text.extend(if dice.rarely(4) {
            dice.one(ENDS)
        } else {
            b"\r\n"
        });
    }
    text.extend(if dice.rarely(3) {
        dice.one(ENDS)
    } else {
        b"\r\n"
    });
    match dice.below(6) {
        0 => text.extend(b"5\r\nhello\r\n0\r\n\r\n"),
        1 => text.extend(b"fffffffffffffffff\r\nx"),
        2 => text.extend(dice.bytes(200)),
        _ => {}
    }
    // Somewhere a byte is another one, or the rest does not come.
    if dice.rarely(3) && !text.is_empty() {
        let at = dice.below(text.len());
        text[at] = dice.next().to_le_bytes()[0];
    }
    if dice.rarely(4) {
        text.truncate(dice.below(text.len() + 1));
    }
    text
}

/// What came back.
#[derive(Default)]
struct Answers {
    refused: u32,
    closed: u32,
    good: u32,
}

impl Answers {
    fn note(&mut self, answer: &[u8], sent: &[u8]) -> Result<(), String> {
        match status(answer) {
            // The server said nothing, and closed.
            None if answer.is_empty() => self.closed += 1,
            Some(200..300) => self.good += 1,
            Some(400..500 | 503) => self.refused += 1,
            other => {
                let sent = String::from_utf8_lossy(sent).into_owned();
                return Err(format!("{sent:?} was answered with {other:?}"));
            }
        }
        Ok(())
    }
}

/// All of them, each on a connection of its own, by some clients at one time.
fn all(
    count: u32,
    one: impl Fn(&[u8]) -> std::io::Result<Vec<u8>> + Sync,
) -> Result<String, String> {
    let answers = Mutex::new(Answers::default());
    thread::scope(|scope| {
        let client = |first: u32| {
            let (answers, one) = (&answers, &one);
            scope.spawn(move || -> Result<(), String> {
                for seed in (first..count).step_by(CLIENTS as usize) {
                    let sent = request(&mut Dice::new(seed));
                    let answer = one(&sent).map_err(|error| {
                        let sent = String::from_utf8_lossy(&sent).into_owned();
                        format!("request {seed}, {sent:?}: {error}")
                    })?;
                    answers.lock().expect("not poisoned").note(&answer, &sent)?;
                }
                Ok(())
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        for client in clients {
            client.join().map_err(|_| "a client panicked")??;
        }
        Ok::<_, String>(())
    })?;
    let Answers {
        refused,
        closed,
        good,
    } = answers.into_inner().expect("not poisoned");
    if refused + closed < count / 2 {
        return Err(format!(
            "only {refused} refused and {closed} closed of {count}: these were not malformed"
        ));
    }
    Ok(format!(
        "{count} requests: {refused} refused, {closed} closed, {good} not that wrong"
    ))
}

/// Sends, says that nothing follows, and waits for what comes.
fn sent(target: &Target, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = target.connect()?;
    // The server may have closed before it has read all.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    rest(&mut stream)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a number of requests"
)]
fn part(of: u32, size: f64) -> u32 {
    (f64::from(of) * size) as u32
}

pub fn plain(target: &Target, size: f64) -> Result<String, String> {
    all(part(REQUESTS, size), |bytes| sent(target, bytes))
}

/// To a server that speaks TLS: what comes is no greeting.
pub fn no_tls(target: &Target, size: f64) -> Result<String, String> {
    let said = |bytes: &[u8]| {
        let answer = sent(target, bytes)?;
        // An alert of TLS, if anything: 0x15.
        Ok(if answer.first() == Some(&0x15) {
            vec![]
        } else {
            answer
        })
    };
    all(part(REQUESTS / 5, size), said)
}

/// By TLS, without and with the right password.
pub fn inside(target: &Target, size: f64) -> Result<String, String> {
    all(part(BY_TLS, size), |bytes| {
        let mut stream = target.open()?;
        let right = target
            .guard
            .as_ref()
            .map(|guard| format!("\r\nAuthorization: {}\r\n", guard.right));
        let mut bytes = bytes.to_vec();
        if let Some(right) = right.filter(|_| bytes.len().is_multiple_of(2)) {
            let at = bytes.windows(2).position(|two| two == b"\r\n");
            if let Some(at) = at {
                bytes.splice(at..at + 2, right.bytes());
            }
        }
        bytes.extend(b"\r\n\r\n");
        let _ = stream.write_all(&bytes);
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
        rest(&mut stream)
    })
}

/// Heads of 64 KiB, and of 101 headers.
pub fn large(target: &Target, size: f64) -> Result<String, String> {
    let long = [
        b"GET /metrics HTTP/1.1\r\nX: ".to_vec(),
        vec![b'x'; 64 << 10],
        b"\r\n\r\n".to_vec(),
    ]
    .concat();
    let path = [
        b"GET /".to_vec(),
        vec![b'x'; 64 << 10],
        b" HTTP/1.1\r\n\r\n".to_vec(),
    ]
    .concat();
    let many = [
        b"GET /metrics HTTP/1.1\r\n".to_vec(),
        b"X: y\r\n".repeat(101),
        b"\r\n".to_vec(),
    ]
    .concat();
    let count = part(3000, size).max(3);
    let mut told = 0;
    for index in 0..count {
        let head = [&long, &path, &many][index as usize % 3];
        let answer = sent(target, head).map_err(|error| format!("{error}"))?;
        match status(&answer) {
            Some(431 | 414 | 400) => told += 1,
            // It was closed with the rest unread, and that undid the answer.
            None => {}
            other => {
                return Err(format!(
                    "a head of {} bytes was answered with {other:?}",
                    head.len()
                ));
            }
        }
    }
    if told == 0 {
        return Err("none was told why".into());
    }
    Ok(format!("{count} heads, {told} told so"))
}
