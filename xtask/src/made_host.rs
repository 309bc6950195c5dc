//! The daemon's own server with a host that is made up (`agent/examples/made_host`), for whoever needs something to look at.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::command::{cargo, run};
use crate::target_dir;

pub fn build() -> Result<()> {
    run(cargo().args([
        "build",
        "--quiet",
        "--package",
        "daxscope",
        "--example",
        "made_host",
    ]))
}

/// It ends with this.
pub struct MadeHost {
    child: Child,
    /// As it printed it: `127.0.0.1:36141`.
    pub address: String,
}

impl MadeHost {
    pub fn start<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Result<Self> {
        let program: PathBuf = target_dir()?.join("debug/examples/made_host");
        // Its standard input ends with us, and it with that, however we end.
        let mut child = Command::new(&program)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut address = String::new();
        let output = child.stdout.take().context("no standard output")?;
        BufReader::new(output).read_line(&mut address)?;
        let host = Self {
            child,
            address: address.trim().to_owned(),
        };
        ensure!(
            !host.address.is_empty(),
            "the made-up host does not serve: {}",
            program.display()
        );
        Ok(host)
    }
}

impl Drop for MadeHost {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
