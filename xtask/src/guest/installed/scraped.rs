//! A real Prometheus, Debian's, that asks over TLS with a password.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::host;
use crate::guest::report::Figures;

const FOLDER: &str = "/etc/daxscope";
const DROP_IN: &str = "/etc/daxscope/daxscope.toml.d/50-web.toml";
const PROMETHEUS: &str = "/etc/prometheus/daxscope.yml";
const PASSWORD: &str = "prometheus-of-a-test";

/// As an administrator would: a certificate of its own, one user, and the file named in a drop-in.
pub fn configure() -> Result<()> {
    let of = |name: &str| format!("{FOLDER}/{name}");
    let (key, certificate) = (of("daxscope.key"), of("daxscope.crt"));
    host::run(&[
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout",
        &key,
        "-out",
        &certificate,
    ])?;
    // As `htpasswd -nbBC 5` would, of a package that nothing else here needs.
    let hash = format!("print crypt('{PASSWORD}', '$2b$05$abcdefghijklmnopqrstuu')");
    let hash = host::run(&["perl", "-e", &hash])?;
    host::run(&["chown", "root:daxscope", &key])?;
    host::run(&["chmod", "640", &key])?;
    let web = format!(
        "tls_server_config:\n  cert_file: daxscope.crt\n  key_file: daxscope.key\nbasic_auth_users:\n  prometheus: {hash}\n"
    );
    fs::write(of("web.yml"), web)?;
    host::write(
        Path::new(DROP_IN),
        "web-config = \"/etc/daxscope/web.yml\"\n",
    )?;
    host::run(&["daxscope", "config", "check"]).map(drop)
}

pub fn scraped(figures: &mut Figures) -> Result<()> {
    let status = |options: &[&str]| -> Result<String> {
        let usual = [
            "curl",
            "--silent",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
            "--cacert",
            "/etc/daxscope/daxscope.crt",
        ];
        host::run(&[&usual, options, &["https://localhost:9954/metrics"]].concat())
    };
    let user = format!("prometheus:{PASSWORD}");
    figures.equal(
        "with the password",
        "200".to_owned(),
        status(&["--user", &user])?,
    );
    figures.equal("without", "401".to_owned(), status(&[])?);
    figures.equal(
        "with another",
        "401".to_owned(),
        status(&["--user", "prometheus:guess"])?,
    );
    let plain = host::run(&[
        "curl",
        "--silent",
        "--fail",
        "http://localhost:9954/metrics",
    ]);
    figures.holds("without TLS nothing is served", plain.is_err());

    let config = format!(
        "global:\n  scrape_interval: 2s\nscrape_configs:\n- job_name: daxscope\n  scheme: https\n  tls_config:\n    \
         ca_file: /etc/daxscope/daxscope.crt\n  basic_auth:\n    username: prometheus\n    password: {PASSWORD}\n  \
         static_configs:\n  - targets: [\"localhost:9954\"]\n"
    );
    host::write(Path::new(PROMETHEUS), &config)?;
    host::run(&["promtool", "check", "config", PROMETHEUS])?;
    host::run(&[
        "systemd-run",
        "--quiet",
        "--unit=scraper",
        "--property=User=prometheus",
        "--property=StateDirectory=prometheus",
        "prometheus",
        "--config.file",
        PROMETHEUS,
        "--storage.tsdb.path=/var/lib/prometheus/guest",
        "--web.listen-address=127.0.0.1:9090",
    ])?;
    let up = host::until("Prometheus has scraped", || {
        let up = query("up{job=\"daxscope\"}")?;
        ensure!(up.concat() == "1", "up is {up:?}: {}", targets()?);
        Ok(up)
    })?;
    figures.equal("up", "1".to_owned(), up.concat());
    for (expression, wanted) in [
        ("daxscope_self_test_success", "1"),
        ("sum(daxscope_confined{layer=\"capabilities\"})", "1"),
        (
            "max(daxscope_pagemap_struct_pages{device=\"dax0.0\"})",
            "262144",
        ),
    ] {
        figures.equal(expression, wanted.to_owned(), query(expression)?.concat());
    }
    let series = query("scrape_samples_scraped")?.concat();
    figures.note(format!("{series} samples"));
    host::run(&["systemctl", "stop", "scraper"]).map(drop)
}

/// What Prometheus says of whom it asks.
fn targets() -> Result<String> {
    host::run(&["curl", "--silent", "http://127.0.0.1:9090/api/v1/targets"])
}

/// The values of an instant query.
fn query(expression: &str) -> Result<Vec<String>> {
    let text = host::run(&[
        "curl",
        "--silent",
        "--show-error",
        "--fail",
        "--get",
        "--data-urlencode",
        &format!("query={expression}"),
        "http://127.0.0.1:9090/api/v1/query",
    ])?;
    let answer: Value = serde_json::from_str(&text).context("Prometheus' answer is no JSON")?;
    let results = answer["data"]["result"].as_array().context("no result")?;
    Ok(results
        .iter()
        .filter_map(|one| one["value"][1].as_str().map(str::to_owned))
        .collect())
}

/// Takes away what was configured beside the package's own files.
pub fn clean() -> Result<()> {
    for file in ["daxscope.key", "daxscope.crt"] {
        fs::remove_file(Path::new(FOLDER).join(file))?;
    }
    for file in [DROP_IN, PROMETHEUS] {
        fs::remove_file(file).with_context(|| format!("no {file}"))?;
    }
    Ok(())
}
