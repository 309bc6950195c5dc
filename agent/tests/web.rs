//! The web configuration: who is let in by it, and what of it is refused.

#[path = "support/authority.rs"]
mod authority;
#[path = "support/served.rs"]
mod served;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use authority::Authority;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use daxscope::{
    config::{Config, Limits},
    serve::web::Web,
};
use rustls::ClientConfig;
use served::{Made, Served, request};

const TLS: &str = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n";
static ALL: [&rustls::SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

#[test]
fn tls_with_users_headers_and_versions() {
    let authority = Authority::new();
    let hash = bcrypt::hash("secret", 4).expect("hashes");
    let served = Served::new("tls", Made::default(), Limits::default(), |folder| {
        authority.serve(folder, &["localhost"]);
        Some(format!(
            "{TLS}  min_version: TLS13\nhttp_server_config:\n  http2: false\n  headers:\n    Strict-Transport-Security: max-age=60\n\
             \x20   X-Frame-Options: deny\nbasic_auth_users:\n  ann: {hash}\n"
        ))
    });
    let client = authority.client(None, &ALL);
    let right = format!(
        "Authorization: Basic {}",
        BASE64_STANDARD.encode("ann:secret")
    );
    let wrong = format!(
        "Authorization: Basic {}",
        BASE64_STANDARD.encode("ann:secre")
    );
    for path in [
        "/metrics",
        "/",
        "/healthz",
        "/readyz",
        "/holders",
        "/style.css",
        "/nothing",
    ] {
        for headers in [&[][..], &[wrong.as_str()]] {
            let answer = served.by_tls(&client, path, headers).expect("answers");
            assert_eq!(answer.status, 401, "{path}");
            assert!(
                answer
                    .header("www-authenticate")
                    .is_some_and(|how| how.starts_with("Basic "))
            );
            assert!(!answer.text().contains("daxscope_"), "{path}");
        }
    }
    let answer = served
        .by_tls(&client, "/metrics", &[&right])
        .expect("answers");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("strict-transport-security"),
        Some("max-age=60")
    );
    assert_eq!(answer.header("x-frame-options"), Some("deny"));
    assert!(
        answer
            .text()
            .contains("daxscope_web_certificate_expiry_timestamp_seconds ")
    );
    let old = authority.client(None, &ALL[..1]);
    assert!(
        served.by_tls(&old, "/metrics", &[&right]).is_err(),
        "TLS 1.2 below min_version"
    );
    let stranger = Authority::new().client(None, &ALL);
    assert!(served.by_tls(&stranger, "/metrics", &[&right]).is_err());
    // Without TLS nothing is said.
    let mut stream = TcpStream::connect(served.port).expect("connects");
    stream
        .write_all(request("/metrics", &[]).as_bytes())
        .expect("writes");
    let mut all = vec![];
    let _ = stream.read_to_end(&mut all);
    assert!(!all.starts_with(b"HTTP"));
}

#[test]
fn clients_are_let_in_by_their_certificate_and_its_names() {
    let authority = Authority::new();
    let served = |name: &str, more: &str| {
        Served::new(name, Made::default(), Limits::default(), |folder| {
            authority.serve(folder, &["localhost"]);
            Some(format!("{TLS}  client_ca_file: ca.pem\n{more}"))
        })
    };
    let must = "  client_auth_type: RequireAndVerifyClientCert\n";
    let known = || {
        authority.client(
            Some(authority.signed(&["prometheus.example", "10.1.2.3"])),
            &ALL,
        )
    };
    let nobody = authority.client(None, &ALL);
    let mut forged = Authority::new().signed(&["prometheus.example"]);
    let asks = |served: &Served, client: &ClientConfig| {
        served
            .by_tls(client, "/metrics", &[])
            .is_ok_and(|answer| answer.status == 200)
    };
    let all = served("mtls", must);
    assert!(asks(&all, &known()));
    assert!(!asks(&all, &nobody));
    assert!(!asks(
        &all,
        &authority.client(Some(std::mem::take(&mut forged)), &ALL)
    ));
    for (names, let_in) in [
        ("prometheus.example", true),
        ("10.1.2.3", true),
        ("spiffe://daxscope/prometheus", true),
        ("prometheus.example.org", false),
        ("example", false),
    ] {
        let some = served(
            "named",
            &format!("{must}  client_allowed_sans: ['{names}']\n"),
        );
        assert_eq!(asks(&some, &known()), let_in, "{names}");
        assert!(!asks(&some, &nobody), "{names}");
    }
    let may = served("given", "  client_auth_type: VerifyClientCertIfGiven\n");
    assert!(asks(&may, &known()) && asks(&may, &nobody));
}

#[test]
fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
    let authority = Authority::new();
    let served = Served::new("reload", Made::default(), Limits::default(), |folder| {
        authority.serve(folder, &["localhost"]);
        Some(TLS.into())
    });
    let client = authority.client(None, &ALL);
    let figure = |client: &ClientConfig, name: &str| {
        let answer = served.by_tls(client, "/metrics", &[]).ok()?;
        let text = answer.text().to_owned();
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<f64>().ok()
    };
    let until = |client: &ClientConfig, name: &str, wanted: f64| {
        let end = Instant::now() + Duration::from_secs(20);
        while figure(client, name) != Some(wanted) {
            assert!(Instant::now() < end, "{name} is {:?}", figure(client, name));
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    until(&client, "daxscope_web_config_reload_success", 1.0);
    fs::write(served.folder.join("key.pem"), "nonsense").expect("writes");
    until(&client, "daxscope_web_config_reload_success", 0.0);
    until(&client, "daxscope_web_config_reload_failures_total", 1.0);
    // Another authority's: who trusts only the first is let down, so it is seen that the new one is in force.
    let second = Authority::new();
    second.serve(&served.folder, &["localhost"]);
    let newer = second.client(None, &ALL);
    until(&newer, "daxscope_web_config_reload_success", 1.0);
    assert!(figure(&client, "daxscope_web_config_reload_success").is_none());
    // By hand it is read at once.
    let config = Config {
        web_config: Some(served.folder.join("web.yml")),
        ..Config::default()
    };
    fs::write(served.folder.join("web.yml"), "tls_server_confg: {}\n").expect("writes");
    let error = served.server.reload(&config).expect_err("it is broken");
    let said = format!("{error:#}");
    assert!(
        said.contains(
            "web.yml: line 1: tls_server_confg: unknown key; did you mean tls_server_config?"
        ),
        "{said}"
    );
    assert!(
        figure(&newer, "daxscope_web_config_reload_success").is_some(),
        "the one before stays"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_cannot_be_honoured_is_refused_by_its_key() {
    let folder = std::env::temp_dir().join(format!("daxscope-web-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let authority = Authority::new();
    authority.serve(&folder, &["localhost"]);
    let path = folder.join("web.yml");
    for (text, words) in [
        (
            "tls_server_config:\n  cert_fil: x\n",
            "line 2: tls_server_config.cert_fil: unknown key; did you mean cert_file?",
        ),
        (
            "tls_server_config:\n  cert_file: cert.pem\n",
            "key_file is missing",
        ),
        (
            "tls_server_config:\n  cert_file: gone.pem\n  key_file: key.pem\n",
            "line 2: tls_server_config.cert_file: cannot read",
        ),
        (
            "tls_server_config:\n  cert_file: key.pem\n  key_file: key.pem\n",
            "key.pem: no certificate in PEM is in it",
        ),
        (
            "tls_server_config:\n  cert_file: cert.pem\n  key_file: cert.pem\n",
            "cert.pem: no private key in PEM",
        ),
        (
            "tls_server_config:\n  cert_file: ca.pem\n  key_file: key.pem\n",
            "it cannot be used with",
        ),
        (
            &format!("{TLS}  min_version: TLS10\n"),
            "line 4: tls_server_config.min_version: TLS10 is not served here; did you mean TLS1",
        ),
        (
            &format!("{TLS}  min_version: TLS13\n  max_version: TLS12\n"),
            "max_version is below min_version",
        ),
        (
            &format!("{TLS}  cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]\n"),
            "tls_server_config.cipher_suites: TLS_RSA_WITH_AES_128_CBC_SHA is not served",
        ),
        (
            &format!("{TLS}  curve_preferences: [CurveP521]\n"),
            "CurveP521 is not served here; did you mean CurveP",
        ),
        (
            &format!("{TLS}  client_auth_type: RequireAnyClientCert\n"),
            "verifies nothing",
        ),
        (
            &format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n"),
            "client_ca_file is missing",
        ),
        (
            &format!("{TLS}  client_ca_file: ca.pem\n"),
            "client_auth_type is missing",
        ),
        (
            &format!("{TLS}  prefer_server_cipher_suites: maybe\n"),
            "must be true or false",
        ),
        (
            "http_server_config:\n  http2: true\n",
            "line 2: http_server_config.http2: HTTP/2 is not served",
        ),
        (
            "http_server_config:\n  headers:\n    Server: x\n",
            "line 3: http_server_config.headers.Server: unknown key",
        ),
        (
            "http_server_config:\n  headers:\n    X-Frame-Options: no\n",
            "no is none of its values",
        ),
        (
            "rate_limit:\n  interval: 1\n",
            "line 2: rate_limit.interval: must be a duration",
        ),
        (
            "rate_limit:\n  interval: 1s\n",
            "rate_limit.burst: at 0 or left out",
        ),
        (
            "basic_auth_users:\n  ann: secret\n",
            "line 2: basic_auth_users.ann: not a bcrypt hash",
        ),
        (
            "basic_auth_user:\n  ann: x\n",
            "did you mean basic_auth_users?",
        ),
        ("- a\n", "the file must be a mapping"),
        ("a: [\n", "line 2"),
    ] {
        fs::write(&path, text).expect("writes");
        let Err(error) = Web::read(&path) else {
            panic!("{text} is taken");
        };
        let said = format!("{error:#}");
        assert!(said.contains(words), "{text}: {said}");
        assert!(said.starts_with(&path.display().to_string()), "{said}");
    }
    for text in [
        "",
        "{}\n",
        "tls_server_config: {}\n",
        "basic_auth_users:\n",
        "rate_limit:\n  interval: 0\n",
    ] {
        fs::write(&path, text).expect("writes");
        let web = Web::read(&path).unwrap_or_else(|error| panic!("{text}: {error:#}"));
        assert!(!web.guards(), "{text}");
    }
    let whole = format!(
        "{TLS}  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]\n  curve_preferences: [CurveP256, X25519]\n\
         \x20 prefer_server_cipher_suites: false\n  min_version: TLS12\n  max_version: TLS13\n"
    );
    fs::write(&path, whole).expect("writes");
    assert!(Web::read(&path).expect("all of it").guards());
    fs::remove_dir_all(&folder).expect("removed");
}
