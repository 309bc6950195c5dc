//! What people read: documents, and what is shipped with names and comments in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::command::workspace;

/// Where they lie: files, and folders with all that is in them.
const PLACES: [&str; 5] = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs",
    "deploy",
];
const KINDS: [&str; 4] = ["md", "yml", "yaml", "json"];

/// Texts by name, from the top of the repository.
pub type Texts = BTreeMap<PathBuf, String>;

/// All of them.
pub fn read() -> Result<Texts> {
    let mut texts = Texts::new();
    for place in PLACES {
        add(Path::new(place), &mut texts)?;
    }
    Ok(texts)
}

/// Whether it is Markdown.
pub fn is_page(name: &Path) -> bool {
    name.extension().is_some_and(|kind| kind == "md")
}

fn add(name: &Path, texts: &mut Texts) -> Result<()> {
    let file = workspace().join(name);
    let why = || format!("cannot read {}", file.display());
    if file.is_dir() {
        for entry in fs::read_dir(&file).with_context(why)? {
            add(&name.join(entry.with_context(why)?.file_name()), texts)?;
        }
    } else if KINDS
        .iter()
        .any(|kind| name.extension().is_some_and(|own| own == *kind))
    {
        texts.insert(
            name.to_owned(),
            fs::read_to_string(&file).with_context(why)?,
        );
    }
    Ok(())
}
