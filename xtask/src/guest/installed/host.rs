//! What an administrator types.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

pub const UNIT: &str = "daxscope.service";
const DROP_INS: &str = "/etc/systemd/system/daxscope.service.d";
/// For anything that an emulated guest is waited for.
const LIMIT: Duration = Duration::from_mins(2);

/// What a command printed; an error with all of it if it failed.
pub fn run(words: &[&str]) -> Result<String> {
    let output = Command::new(words[0])
        .args(&words[1..])
        .env("LC_ALL", "C")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .with_context(|| format!("cannot start {}", words[0]))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "{} failed: {}\n{said}{}",
            words.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(said)
}

/// Starts, stops or restarts it; if that fails, with what it said.
pub fn systemctl(verb: &str) -> Result<()> {
    match run(&["systemctl", verb, UNIT]) {
        Ok(_) => Ok(()),
        Err(error) => bail!("{error:#}; it said:\n{}", said()),
    }
}

/// The end of its journal.
pub fn said() -> String {
    run(&[
        "journalctl",
        "--unit",
        UNIT,
        "--no-pager",
        "--output=cat",
        "--lines=20",
    ])
    .unwrap_or_else(|error| format!("{error:#}"))
}

/// A property of the unit, as systemd has it.
pub fn property(name: &str) -> Result<String> {
    let value = run(&["systemctl", "show", "--value", "--property", name, UNIT])?;
    Ok(value.trim().to_owned())
}

/// Its process.
pub fn pid() -> Result<u32> {
    let pid: u32 = property("MainPID")?.parse()?;
    if pid == 0 {
        bail!("{UNIT} does not run; it said:\n{}", said());
    }
    Ok(pid)
}

/// A drop-in of the unit; systemd reads it at once.
pub fn drop_in(name: &str, text: &str) -> Result<()> {
    write(&Path::new(DROP_INS).join(name), text)?;
    run(&["systemctl", "daemon-reload"]).map(drop)
}

/// A drop-in that the package has as an example.
pub fn example(name: &str) -> Result<String> {
    let path = format!("/usr/share/doc/daxscope/examples/{name}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

pub fn forget_drop_ins() -> Result<()> {
    fs::remove_dir_all(DROP_INS).context("no drop-ins")?;
    run(&["systemctl", "daemon-reload"]).map(drop)
}

pub fn write(file: &Path, text: &str) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Asks again until there is an answer.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if begun.elapsed() > LIMIT => {
                return Err(error.context(format!("{what}: not within {LIMIT:?}")));
            }
            Err(_) => sleep(Duration::from_millis(200)),
        }
    }
}

/// `/readyz`, whether ready or not.
pub fn readyz() -> Result<Value> {
    let text = run(&[
        "curl",
        "--silent",
        "--show-error",
        "http://127.0.0.1:9954/readyz",
    ])?;
    serde_json::from_str(&text).with_context(|| format!("/readyz is no JSON: {text}"))
}

/// The strings of a list in `/readyz`.
pub fn strings(list: &Value) -> Vec<String> {
    let all = list.as_array().into_iter().flatten();
    all.map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned))
        .collect()
}
