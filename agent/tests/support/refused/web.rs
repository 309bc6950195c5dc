//! Web configurations and certificates, and addresses that nothing guards.

use std::fs;

use rcgen::{CertificateParams, KeyPair, generate_simple_self_signed};

use super::{Case, number};
use crate::daemon::Folder;

/// All of them.
pub fn all() -> Vec<Case> {
    let mut cases: Vec<Case> = texts()
        .into_iter()
        .map(|(text, name)| yaml(text, name))
        .collect();
    cases.extend(certificates());
    cases.extend(open());
    cases
}

/// What is wrong in a web configuration by itself, with what the line must name.
fn texts() -> Vec<(&'static str, &'static str)> {
    vec![
        ("tls_server_confg: {}", "tls_server_config"),
        ("basic_auth_user: {}", "basic_auth_users"),
        ("http_server_config:\n  http3: true", "http3"),
        ("http_server_config:\n  http2: true", "http2"),
        ("http_server_config:\n  http2: perhaps", "http2"),
        (
            "http_server_config:\n  headers:\n    X-Frame-Option: deny",
            "X-Frame-Option",
        ),
        ("http_server_config:\n  headers: [a]", "headers"),
        ("http_server_config: 7", "http_server_config"),
        ("tls_server_config: yes please", "tls_server_config"),
        ("tls_server_config:\n  cert_file: server.crt", "cert_file"),
        ("tls_server_config:\n  key_file: server.key", "cert_file"),
        (
            "tls_server_config:\n  cert_fle: a\n  key_file: b",
            "cert_file",
        ),
        (
            "tls_server_config:\n  cert_file: nowhere.crt\n  key_file: nowhere.key",
            "nowhere.crt",
        ),
        (
            "tls_server_config:\n  cert_file: a\n  cert_file: b",
            "cert_file",
        ),
        (
            "tls_server_config:\n  cert_file: [a]\n  key_file: b",
            "cert_file",
        ),
        (
            "basic_auth_users:\n  prometheus: secret",
            "basic_auth_users.prometheus",
        ),
        (
            "basic_auth_users:\n  prometheus: ''",
            "basic_auth_users.prometheus",
        ),
        (
            "basic_auth_users:\n  prometheus: $2y$31$q8JxWJT4r0RkX0dYfZFYUuDqmVbMHpVhGdkRGcmVQzjz0xOLtVp3i",
            "basic_auth_users.prometheus",
        ),
        (
            "basic_auth_users:\n  prometheus: $2y$04$short",
            "basic_auth_users.prometheus",
        ),
        (
            "basic_auth_users:\n  prometheus: $1$04$q8JxWJT4r0RkX0dYfZFYUuDqmVbMHpVhGdkRGcmVQzjz0xOLtVp3i",
            "basic_auth_users.prometheus",
        ),
        (
            "basic_auth_users:\n  prometheus: [a, b]",
            "basic_auth_users.prometheus",
        ),
        ("basic_auth_users: [prometheus]", "basic_auth_users"),
        ("basic_auth_users: all", "basic_auth_users"),
        ("rate_limit:\n  interval: never", "interval"),
        ("rate_limit:\n  burst: -1", "burst"),
        ("rate_limit:\n  bursts: 1", "burst"),
        ("- a\n- b", "line"),
        ("just words", "line"),
        ("a: [", "line"),
        ("\ta: b", "line"),
        ("'", "line"),
        ("a: &x [*x]", "line"),
        ("? [a]: b", "line"),
        ("{", "line"),
    ]
}

fn yaml(text: &str, name: &str) -> Case {
    let folder = Folder::new(&format!("refused/web-{}", number(text)));
    let file = folder.path().join("web.yml");
    fs::write(&file, text).expect("it can be written");
    let path = file.to_string_lossy().into_owned();
    let case = Case::new(
        format!("web {text:?}"),
        &["web-config (--web-config)", &path, name],
    );
    case.no_file().words(["--web-config", &path])
}

/// What is wrong beside a certificate that is sound.
const SETTINGS: [(&str, &str, &str); 15] = [
    ("min_version", "min_version: TLS10", "min_version"),
    ("min_version typo", "min_version: TLS1.2", "min_version"),
    (
        "max below min",
        "min_version: TLS13\n  max_version: TLS12",
        "max_version",
    ),
    (
        "cipher",
        "cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]",
        "cipher_suites",
    ),
    ("cipher as text", "cipher_suites: { a: b }", "cipher_suites"),
    (
        "curve",
        "curve_preferences: [CurveP521]",
        "curve_preferences",
    ),
    (
        "order",
        "prefer_server_cipher_suites: maybe",
        "prefer_server_cipher_suites",
    ),
    (
        "kind of client",
        "client_auth_type: Always",
        "client_auth_type",
    ),
    (
        "kind that verifies nothing",
        "client_auth_type: RequireAnyClientCert",
        "client_auth_type",
    ),
    (
        "no authority",
        "client_auth_type: RequireAndVerifyClientCert",
        "client_ca_file",
    ),
    (
        "authority of nothing",
        "client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: empty",
        "client_ca_file",
    ),
    (
        "authority that is not there",
        "client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: gone",
        "client_ca_file",
    ),
    (
        "authority for nothing",
        "client_ca_file: cert",
        "client_auth_type",
    ),
    (
        "names for nothing",
        "client_allowed_sans: [a]",
        "client_auth_type",
    ),
    ("twice", "cert: abc", "cert"),
];

/// Certificates, keys and authorities that cannot be used, in files beside the web configuration.
fn certificates() -> Vec<Case> {
    let own = generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let other = KeyPair::generate().expect("a key");
    let (cert, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let damaged = cert.replacen("MI", "AA", 1);
    let cut: String = cert.lines().take(3).collect::<Vec<_>>().join("\n");
    let plain = CertificateParams::default()
        .self_signed(&other)
        .expect("a certificate")
        .pem();
    let [cert, key, damaged, cut, plain] =
        [&cert, &key, &damaged, &cut, &plain].map(String::as_str);
    let sound = (cert, key);
    let files = [
        ("of nothing", ("", key), "cert_file"),
        ("key of nothing", (cert, ""), "key_file"),
        ("swapped", (key, cert), "cert_file"),
        ("text", ("certificate", key), "cert_file"),
        ("key of text", (cert, "key"), "key_file"),
        ("damaged", (damaged, key), "cert_file"),
        ("cut", (cut, key), "cert_file"),
        ("of another key", (plain, key), "key_file"),
        ("key of another", (cert, plain), "key_file"),
    ];
    let files = files.map(|(name, files, names)| (name, files, "", names));
    let settings = SETTINGS.map(|(name, more, names)| (name, sound, more, names));
    let all = files.into_iter().chain(settings);
    let mut cases: Vec<Case> = all.map(certificate).collect();
    // What is no file, for a certificate and for the web configuration itself.
    for name in ["/dev/zero", "/etc", "/nowhere/web.yml"] {
        let what = format!("web configuration {name}");
        cases.push(
            Case::new(what, &["web-config (DAXSCOPE_WEB_CONFIG)", name])
                .no_file()
                .variable("DAXSCOPE_WEB_CONFIG", name),
        );
    }
    cases
}

/// A certificate and its key beside a web configuration with more lines, and what the line must name.
type Certificate<'a> = (&'a str, (&'a str, &'a str), &'a str, &'a str);

fn certificate((name, (cert, key), more, names): Certificate) -> Case {
    let folder = Folder::new(&format!("refused/certificate-{}", name.replace(' ', "-")));
    let write = |file: &str, text: &str| {
        fs::write(folder.path().join(file), text).expect("it can be written");
    };
    write("cert", cert);
    write("key", key);
    write("empty", "");
    write(
        "web.yml",
        &format!("tls_server_config:\n  cert_file: cert\n  key_file: key\n  {more}\n"),
    );
    // From a file, where its path begins at the folder.
    let file = folder.configuration(&["web-config = \"web.yml\"\n"]);
    let by = format!("web-config ({}:1)", file.display());
    let case = Case::new(format!("certificate {name}"), &[&by, names]);
    case.words(["--config".into(), file.into_os_string()])
}

/// Addresses that other hosts can reach, with nothing that guards them.
fn open() -> Vec<Case> {
    let folder = Folder::new("refused/open");
    let plain = folder.path().join("plain.yml");
    fs::write(
        &plain,
        "http_server_config:\n  headers:\n    X-Frame-Options: deny\n",
    )
    .expect("it can be written");
    let mut cases = vec![];
    for address in [
        "0.0.0.0:0",
        "[::]:0",
        "10.0.0.1:9954",
        "[2001:db8::1]:9954",
        "[::ffff:10.0.0.1]:1",
        "255.255.255.255:1",
    ] {
        let case = |what: &str| {
            Case::new(
                format!("open {address} {what}"),
                &["listen (--listen)", "--allow-insecure-remote"],
            )
            .no_file()
        };
        cases.push(case("alone").words(["--listen", address]));
        cases.push(case("beside loopback").words(["--listen", "127.0.0.1:0", "--listen", address]));
        let plain = plain.to_string_lossy();
        cases.push(case("with no TLS and no users").words([
            "--listen",
            address,
            "--web-config",
            &*plain,
        ]));
        let case = Case::new(
            format!("open {address} by a variable"),
            &["listen (DAXSCOPE_LISTEN)"],
        );
        cases.push(
            case.no_file()
                .variable("DAXSCOPE_LISTEN", address)
                .words(["--no-allow-insecure-remote"]),
        );
    }
    cases
}
