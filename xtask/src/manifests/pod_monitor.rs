//! The `PodMonitor`, against the types of the Prometheus operator, which Kubernetes has no schema for.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::cache::{self, Lock};
use crate::install;

/// The types of operator 0.80, made from its CRDs. Later versions want a later Python than Debian 12 has.
const TYPES: &str = "cloudcoil-models-prometheus-operator==0.80.1.0";
/// What nobody may write, made of what is right: a wrong type, a value that is none, a field that is missing, one that is unknown.
const BROKEN: [(&str, &str); 4] = [
    ("port: metrics", "port: 9954"),
    ("interval: 30s", "interval: half a minute"),
    ("selector:", "selectors:"),
    ("sourceLabels:", "sourceLabel:"),
];

pub fn judge(manifest: &str) -> Result<()> {
    let types = types()?;
    accepts(&types, manifest)?;
    for (right, wrong) in BROKEN {
        let broken = manifest.replacen(right, wrong, 1);
        ensure!(broken != manifest, "the PodMonitor has no `{right}`");
        ensure!(
            accepts(&types, &broken).is_err(),
            "a PodMonitor with `{wrong}` is not refused"
        );
    }
    Ok(())
}

fn accepts(types: &Path, manifest: &str) -> Result<()> {
    let mut python = Command::new("python3")
        .args(["-c", include_str!("pod_monitor.py")])
        .env("PYTHONPATH", types)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start python3")?;
    let mut input = python.stdin.take().context("python3 has no stdin")?;
    input.write_all(manifest.as_bytes())?;
    drop(input);
    let output = python.wait_with_output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(())
}

/// From `PyPI`, into the cache.
fn types() -> Result<PathBuf> {
    let home = cache::dir()?.join(TYPES.replace("==", "-"));
    let _lock = Lock::take(&home)?;
    if !home.join("cloudcoil/models/prometheus_operator").is_dir() {
        eprintln!("fetching {TYPES}");
        install::pip(TYPES, &[], &home).context("no types of the Prometheus operator")?;
    }
    Ok(home)
}
