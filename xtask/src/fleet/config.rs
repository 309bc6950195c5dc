//! The scrape configurations of deploy/prometheus, changed only where whoever installs one must change it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::command::workspace;

pub const FOLDER: &str = "deploy/prometheus";
/// Where they look for what is of one place alone: hosts, certificates, passwords.
const OF_THE_PLACE: &str = "/etc/prometheus/daxscope/";
/// That they name, relative to themselves.
const RULES: [&str; 2] = ["rules.yml", "alerts.yml"];

pub struct Config {
    name: &'static str,
    text: String,
}

/// A file of [`FOLDER`].
pub fn read(name: &str) -> Result<String> {
    let file = workspace().join(FOLDER).join(name);
    fs::read_to_string(file).with_context(|| format!("cannot read {FOLDER}/{name}"))
}

impl Config {
    pub fn read(name: &'static str) -> Result<Self> {
        let text = read(name)?;
        Ok(Self { name, text })
    }

    /// Puts something else in the place of what must be in it.
    pub fn put(mut self, what: &str, instead: &str) -> Result<Self> {
        ensure!(
            self.text.contains(what),
            "{FOLDER}/{} has no {what:?}",
            self.name
        );
        self.text = self.text.replace(what, instead);
        Ok(self)
    }

    /// What stands for the folder in which it looks.
    pub fn at(self, folder: &Path) -> Result<Self> {
        self.put(OF_THE_PLACE, &format!("{}/", folder.display()))
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Into a folder, with the rules beside it.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write(&folder.join("prometheus.yml"), &self.text)?;
        for rules in RULES {
            ensure!(
                self.text.contains(&format!("  - {rules}\n")),
                "{FOLDER}/{} does not name {rules}",
                self.name
            );
            write(&folder.join(rules), &read(rules)?)?;
        }
        Ok(())
    }
}

pub fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
