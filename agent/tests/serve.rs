//! The server by TCP and a unix socket: what is told to whom, and what is not. TLS and users are in tests/web.rs.

#[path = "support/served.rs"]
mod served;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use daxscope::{
    config::{Config, Limits, Listen},
    holders::ask::ask,
    metrics,
};
use flate2::read::GzDecoder;
use served::{Made, Served, asked, request};

#[test]
fn each_path_is_answered_as_it_should() {
    let served = Served::plain("routes", Made::default());
    for (path, status, media) in [
        ("/metrics", 200, "text/plain; version=0.0.4"),
        ("/metrics?a=b", 200, "text/plain; version=0.0.4"),
        ("/healthz", 200, "text/plain; charset=utf-8"),
        ("/readyz", 200, "application/json"),
        ("/", 200, "text/html; charset=utf-8"),
        ("/style.css", 200, "text/css; charset=utf-8"),
        ("/holders", 404, "text/plain; charset=utf-8"),
        ("/metrics/", 404, "text/plain; charset=utf-8"),
        ("/../metrics", 404, "text/plain; charset=utf-8"),
    ] {
        let answer = served.get(path, &[]);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some(media)),
            "{path}"
        );
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        let kept = path == "/style.css";
        assert_eq!(
            answer.header("cache-control") != Some("no-store"),
            kept,
            "{path}"
        );
    }
    let read = served.source.read.load(Relaxed);
    served.get("/nothing", &[]);
    served.get("/style.css", &[]);
    assert_eq!(
        served.source.read.load(Relaxed),
        read,
        "what is fixed reads no probes"
    );
}

#[test]
fn what_is_no_plain_question_is_refused() {
    let served = Served::plain("refused", Made::default());
    let all = |request: &str| {
        asked(TcpStream::connect(served.port).expect("connects"), request).expect("answers")
    };
    for (request, status) in [
        ("POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (
            "GET /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
            413,
        ),
        (
            "GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            413,
        ),
        ("GET /metrics HTTP/1.1\r\nX: y\r\nnothing\r\n\r\n", 400),
    ] {
        assert_eq!(all(request).status, status, "{request}");
    }
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(33));
    assert_eq!(all(&many).status, 431);
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(17 << 10));
    assert_eq!(all(&long).status, 431);
    let head = all("HEAD /metrics HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(
        head.header("content-length")
            .is_some_and(|length| length != "0")
    );
    // A name that points here is anybody's.
    let stranger = "GET /holders HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(all(stranger).status, 403);
}

#[test]
fn not_ready_is_503_with_why() {
    let mut source = Made::default();
    source.reasons = vec!["a required probe is not attached: gup \"x\"".into()];
    let served = Served::plain("ready", source);
    let answer = served.get("/readyz", &[]);
    assert_eq!(answer.status, 503);
    let told: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(told["ready"], false);
    assert_eq!(
        told["reasons"][0],
        "a required probe is not attached: gup \"x\""
    );
    assert_eq!(told["layers"]["seccomp"]["ok"], false);
    assert_eq!(told["self_test"]["words"], "4 pages counted");
}

#[test]
fn compressed_is_the_same() {
    let served = Served::plain("gzip", Made::default());
    let plain = served.get("/metrics", &[]);
    let zipped = served.get("/metrics", &["Accept-Encoding: gzip"]);
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert!(
        zipped.body.len() * 3 < plain.body.len(),
        "{} {}",
        zipped.body.len(),
        plain.body.len()
    );
    let mut text = String::new();
    GzDecoder::new(&zipped.body[..])
        .read_to_string(&mut text)
        .expect("unzips");
    let own = |line: &&str| line.starts_with("daxscope_http_");
    let same = |text: &str| {
        text.lines()
            .filter(|line| !own(line))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(same(&text), same(plain.text()));
}

/// Both formats hold the same series with the same values, whatever is in their labels.
#[test]
fn both_formats_say_the_same_of_every_byte() {
    let bytes: Vec<u8> = (0..=255).collect();
    let label = format!("{}ä\u{2028}", String::from_utf8_lossy(&bytes));
    let source = Made::of(&label, 1);
    let served = Served::plain("bytes", source);
    let text = served.get("/metrics", &[]);
    let open = served.get(
        "/metrics",
        &["Accept: application/openmetrics-text; version=1.0.0"],
    );
    assert_eq!(
        open.header("content-type"),
        Some(metrics::openmetrics::CONTENT_TYPE)
    );
    assert!(open.text().ends_with("# EOF\n"));
    let created = open
        .text()
        .lines()
        .filter(|line| line.contains("_created"))
        .count();
    assert!(created > 20, "{created}");
    let (text, open) = (series(text.text()), series(open.text()));
    assert!(text.len() > 100, "{}", text.len());
    for (name, value) in &open {
        if name.contains("_created{") || name.ends_with("_created") {
            assert!((value - 1_700_000_000.25).abs() < 1e-6, "{name} {value}");
        } else if !name.starts_with("daxscope_http_") {
            assert_eq!(text.get(name), Some(value), "{name}");
        }
    }
    for name in text.keys() {
        assert!(open.contains_key(name), "{name} is not in the other format");
    }
}

/// Series and values; anything that is neither that nor a comment is no exposition.
fn series(text: &str) -> std::collections::BTreeMap<String, f64> {
    let mut all = std::collections::BTreeMap::new();
    for line in text
        .split('\n')
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (name, value) = line.rsplit_once(' ').expect(line);
        let labels = name.find('{').map_or("", |at| &name[at..]);
        assert!(!labels.chars().any(char::is_control), "{line:?}");
        // Quotes and backslashes come only escaped inside of a value.
        let bare = labels
            .replace("\\\\", "")
            .replace("\\\"", "")
            .replace("\\n", "");
        assert!(
            bare.matches('"').count().is_multiple_of(2) && !bare.contains('\\'),
            "{line:?}"
        );
        let value = value.parse().expect(line);
        assert!(
            all.insert(name.to_owned(), value).is_none(),
            "{name} is there twice"
        );
    }
    all
}

#[test]
fn who_asks_together_is_told_of_one_moment() {
    let served = Served::plain("together", Made::default());
    let mut streams: Vec<_> = (0..20)
        .map(|_| TcpStream::connect(served.port).expect("connects"))
        .collect();
    // All are accepted, and each holds back its last byte.
    let request = request("/metrics", &[]);
    let (most, last) = request.split_at(request.len() - 1);
    for stream in &mut streams {
        stream.write_all(most.as_bytes()).expect("writes");
    }
    let before = served.source.read.load(Relaxed);
    for stream in &mut streams {
        stream.write_all(last.as_bytes()).expect("writes");
    }
    for mut stream in streams {
        let mut all = vec![];
        stream.read_to_end(&mut all).expect("answers");
        assert!(all.starts_with(b"HTTP/1.1 200"));
    }
    let read = served.source.read.load(Relaxed) - before;
    assert!((1..20).contains(&read), "{read} times read for 20 clients");
}

#[test]
fn a_unix_socket_is_of_this_host() {
    let guard = |_: &Path| {
        Some(format!(
            "basic_auth_users:\n  ann: {}\n",
            bcrypt::hash("x", 4).expect("hashes")
        ))
    };
    let served = Served::new("unix", Made::default(), Limits::default(), guard);
    assert_eq!(served.get("/metrics", &[]).status, 401);
    let socket = || UnixStream::connect(served.folder.join("socket")).expect("connects");
    assert_eq!(
        asked(socket(), &request("/metrics", &[]))
            .expect("answers")
            .status,
        200
    );
    assert_eq!(
        asked(socket(), &request("/holders", &[]))
            .expect("answers")
            .status,
        404
    );
    // What the verb says of each: that there is a password, and by the socket that nobody tracks.
    for (place, words) in [
        (Listen::Tcp(served.port), "--from unix:/PATH"),
        (
            Listen::Unix(served.folder.join("socket")),
            "does not track holders",
        ),
    ] {
        let said = ask(&place).expect_err("no report");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn so_many_requests_and_no_more() {
    let served = Served::new("rate", Made::default(), Limits::default(), |_| {
        Some("rate_limit:\n  interval: 1h\n  burst: 3\n".into())
    });
    let statuses: Vec<_> = (0..5).map(|_| served.get("/healthz", &[]).status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
}

#[test]
fn who_does_not_get_on_is_cut() {
    let limits = Limits {
        header_timeout: Duration::from_millis(300),
        connection_timeout: Duration::from_millis(1500),
        ..Limits::default()
    };
    let served = Served::new("cut", Made::default(), limits, |_| None);
    for said in ["", "GET / HT", "GET / HTTP/1.1\r\nX: y\r\n"] {
        let mut stream = TcpStream::connect(served.port).expect("connects");
        stream.write_all(said.as_bytes()).expect("writes");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("set");
        let mut all = vec![];
        stream
            .read_to_end(&mut all)
            .unwrap_or_else(|error| panic!("{said:?}: {error}"));
    }
    let text = served.get("/metrics", &[]);
    let cut = "daxscope_http_connections_rejected_total{reason=\"header_timeout\"} 3";
    assert!(text.text().contains(cut), "{}", text.text());
    // One that asks again and again ends too.
    let mut stream = TcpStream::connect(served.port).expect("connects");
    let began = Instant::now();
    let asks = std::iter::from_fn(|| {
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .ok()?;
        let n = stream.read(&mut [0; 4096]).ok()?;
        std::thread::sleep(Duration::from_millis(50));
        (n > 0 && began.elapsed() < Duration::from_secs(20)).then_some(())
    });
    assert!(asks.count() > 2);
    assert!(began.elapsed() < Duration::from_secs(20), "it never ended");
}

#[test]
fn limits_change_while_it_serves() {
    let served = Served::plain("limits", Made::default());
    let idle = |count: usize| -> Vec<TcpStream> {
        let connect = |_| TcpStream::connect(served.port).expect("connects");
        (0..count).map(connect).collect()
    };
    let open = |text: &str, count: f64| {
        let open = series(text)["daxscope_http_connections"];
        assert!((open - count).abs() < 0.5, "{open} are open, not {count}");
    };
    let metrics = || served.get("/metrics", &[]).text().to_owned();
    let _many = idle(9);
    open(&metrics(), 10.0);
    let change = |limits: Limits| {
        let config = Config {
            limits,
            ..Config::default()
        };
        served.server.reload(&config).expect("no web configuration");
    };
    change(Limits {
        connections: 3,
        header_timeout: Duration::from_millis(200),
        ..Limits::default()
    });
    // Those who were there before have the limits that they came with, but not more places.
    let text = metrics();
    open(&text, 3.0);
    let displaced = "daxscope_http_connections_rejected_total{reason=\"displaced\"}";
    // The one that asked first may have been among them still.
    let displaced = series(&text)[displaced];
    assert!((7.0..=8.0).contains(&displaced), "{displaced}");
    let mut late = TcpStream::connect(served.port).expect("connects");
    late.set_read_timeout(Some(Duration::from_secs(20)))
        .expect("set");
    let read = late.read(&mut [0]).expect("cut by the new header timeout");
    assert_eq!(read, 0);
    // One request in flight at a time is enough for one after the other.
    change(Limits {
        requests: 1,
        ..Limits::default()
    });
    for _ in 0..3 {
        assert_eq!(served.get("/metrics", &[]).status, 200);
    }
}
