//! Documents that the program itself writes, so that they cannot lag behind it.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, read_text, workspace};
use crate::{grafana, links, names};

/// Write the documents that the agent prints of itself: docs/metrics.md, docs/configure.md, deploy/daxscope.toml; and
/// the dashboards of deploy/grafana. Then look whether all that documents point at and name is there
#[derive(clap::Args)]
pub struct Args {
    /// Only say whether they are up to date, and fail if one is not
    #[arg(long)]
    pub check: bool,
}

/// Each with the words that make the agent print it.
const DOCUMENTS: [(&str, &[&str]); 3] = [
    ("docs/metrics.md", &["metrics-doc"]),
    ("docs/configure.md", &["config", "document"]),
    ("deploy/daxscope.toml", &["config", "example"]),
];

pub fn main(args: &Args) -> Result<()> {
    for (name, words) in DOCUMENTS {
        let run = ["run", "--quiet", "--package", "daxscope", "--"];
        let text = read_text(cargo().args(run).args(words))?;
        one(args, name, &text)?;
    }
    for (name, board) in grafana::boards() {
        one(args, name, &grafana::text(&board))?;
    }
    links::check()?;
    names::check()
}

fn one(args: &Args, name: &str, text: &str) -> Result<()> {
    let file = workspace().join(name);
    if args.check {
        if fs::read_to_string(&file).ok().as_deref() != Some(text) {
            bail!("{name} is not what the program says: run `cargo xtask docs`");
        }
        return Ok(());
    }
    let folder = file.parent().unwrap_or(workspace());
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&file, text))
        .with_context(|| format!("cannot write {}", file.display()))
}
