//! What the agent is built from: licences, sources, and what is banned (deny.toml); flaws that became known, where there is a
//! list of them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{run, workspace};
use crate::setup;
use crate::verdict::{Check, Outcome};

/// Licences, bans and sources, of Cargo.lock. What other systems would need of it is not here yet: cargo fetches it.
pub fn main() -> Result<()> {
    run(deny()?.args(["check", "licenses", "bans", "sources"]))
}

/// Advisories, of the database that `cargo deny fetch db` has put on this machine. The gate does not fetch it: it is in a
/// repository, not in a registry, and what passes must not depend on the day.
pub fn advisories() -> Check {
    let check = |outcome, detail: String| Check::new("host", "advisories", outcome, detail);
    if !databases() {
        let why = "no database of advisories on this machine; get it with `cargo deny fetch db`. deny.toml bans what was known";
        return check(Outcome::Skip, why.to_owned());
    }
    let checked = deny().and_then(|mut deny| run(deny.args(["--offline", "check", "advisories"])));
    match checked {
        Ok(()) => check(Outcome::Pass, String::new()),
        Err(error) => check(Outcome::Fail, format!("{error:#}")),
    }
}

fn deny() -> Result<Command> {
    let program = setup::deny()?.context("no cargo-deny: run `cargo xtask setup`")?;
    let mut command = Command::new(program);
    command.current_dir(workspace());
    Ok(command)
}

/// Whether one is where cargo-deny keeps them.
fn databases() -> bool {
    let set = |name| std::env::var_os(name).map(PathBuf::from);
    let home = set("CARGO_HOME").or_else(|| set("HOME").map(|home| home.join(".cargo")));
    let found = home.and_then(|home| fs::read_dir(home.join("advisory-dbs")).ok());
    found.is_some_and(|found| found.flatten().any(|one| one.path().is_dir()))
}
