//! The manifests of deploy/kubernetes, against the schemas of Kubernetes itself, and of the Prometheus operator.

mod pod_monitor;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cache::{self, Lock};
use crate::command::{read_text, workspace};
use crate::install;

/// Brings the schemas of Kubernetes 1.25 to 1.37.
const VALIDATE: &str = "kubernetes-validate==1.37.0";
/// An old one that is still in use somewhere, and the newest.
const VERSIONS: [&str; 2] = ["1.28", "1.37"];
/// Of the Prometheus operator.
const POD_MONITOR: &str = "podmonitor.yaml";
/// Read by kustomize, and never sent.
const INDEX: &str = "kustomization.yaml";

pub fn judge() -> Result<()> {
    let home = tool()?;
    let folder = workspace().join("deploy/kubernetes");
    let index = fs::read_to_string(folder.join(INDEX))?;
    for entry in fs::read_dir(&folder)? {
        let file = entry?.path();
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name == INDEX {
            continue;
        }
        ensure!(
            index.contains(&format!("- {name}\n")),
            "{INDEX} does not list {name}"
        );
        if name == POD_MONITOR {
            pod_monitor::judge(&fs::read_to_string(&file)?)?;
            continue;
        }
        for version in VERSIONS {
            read_text(
                Command::new("python3")
                    .arg(home.join("bin/kubernetes-validate"))
                    .args(["--strict", "--version", version])
                    .arg(&file)
                    .env("PYTHONPATH", &home),
            )?;
        }
    }
    Ok(())
}

/// From `PyPI`, into the cache.
fn tool() -> Result<PathBuf> {
    let home = cache::dir()?.join(VALIDATE.replace("==", "-"));
    let _lock = Lock::take(&home)?;
    if !home.join("bin/kubernetes-validate").is_file() {
        eprintln!("fetching {VALIDATE}");
        install::pip(VALIDATE, &[], &home).context("no schemas of Kubernetes")?;
    }
    Ok(home)
}
