//! Documents that the program itself writes, so that they cannot lag behind it.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, read_text, workspace};

/// Write docs/metrics.md from the agent's own metric descriptions
#[derive(clap::Args)]
pub struct Args {
    /// Only say whether it is up to date, and fail if it is not
    #[arg(long)]
    pub check: bool,
}

const METRICS: &str = "docs/metrics.md";

pub fn main(args: &Args) -> Result<()> {
    let file = workspace().join(METRICS);
    let text = read_text(cargo().args([
        "run",
        "--quiet",
        "--package",
        "daxscope",
        "--",
        "metrics-doc",
    ]))?;
    if !args.check {
        return fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()));
    }
    if fs::read_to_string(&file).ok().as_deref() != Some(&text) {
        bail!("{METRICS} is not what the agent says: run `cargo xtask docs`");
    }
    Ok(())
}
