//! A set of figures with all that they depend on: what docs/cost.json keeps.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::reading::{Amount, Reading};
use crate::command::{read_text, workspace};

/// The committed figures.
const FILE: &str = "docs/cost.json";

#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// What was used: `date`, `machine`, `qemu`, …, each in a few words.
    pub made: Vec<(String, String)>,
    pub kernels: Vec<Figures>,
}

/// Those of one kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    pub suite: String,
    /// As `uname -r` says it.
    pub release: String,
    pub readings: Vec<Reading>,
}

impl Figures {
    pub fn find(&self, row: &str, who: &str) -> Option<&Result<Amount, String>> {
        let found = self
            .readings
            .iter()
            .find(|reading| reading.row == row && reading.who == who);
        found.map(|reading| &reading.outcome)
    }

    pub fn value(&self, row: &str, who: &str) -> Option<f64> {
        let amount = self.find(row, who)?.as_ref().ok()?;
        Some(amount.value)
    }
}

impl Record {
    pub fn kernel(&self, suite: &str) -> Option<&Figures> {
        self.kernels.iter().find(|figures| figures.suite == suite)
    }

    /// What is committed; `None` if nothing is yet.
    pub fn committed() -> Result<Option<Record>> {
        let file = path();
        if !file.exists() {
            return Ok(None);
        }
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Record::parse(&text)
            .with_context(|| format!("in {FILE}: `cargo xtask bench --write` makes it anew"))
            .map(Some)
    }

    pub fn write(&self) -> Result<()> {
        let file = path();
        fs::write(&file, self.text()).with_context(|| format!("cannot write {}", file.display()))
    }

    /// JSON with a line for each reading, so that a change of one shows as one.
    fn text(&self) -> String {
        let made = self
            .made
            .iter()
            .map(|(key, value)| (key.clone(), json!(value)));
        let made = Value::Object(made.collect());
        let kernels = self.kernels.iter().map(|figures| {
            let readings = figures
                .readings
                .iter()
                .map(|reading| format!("      {}", reading.json()));
            format!(
                "    {{\"suite\": {}, \"release\": {}, \"readings\": [\n{}\n    ]}}",
                json!(figures.suite),
                json!(figures.release),
                readings.collect::<Vec<_>>().join(",\n")
            )
        });
        let kernels = kernels.collect::<Vec<_>>().join(",\n");
        format!("{{\n  \"made\": {made:#},\n  \"kernels\": [\n{kernels}\n  ]\n}}\n")
    }

    fn parse(text: &str) -> Result<Record> {
        let told: Value = serde_json::from_str(text).context("no JSON")?;
        let word = |value: &Value| {
            value
                .as_str()
                .map(str::to_owned)
                .context("a word is missing")
        };
        let made = told["made"].as_object().context("no \"made\"")?;
        let made = made
            .iter()
            .map(|(key, value)| Ok((key.clone(), word(value)?)));
        let kernels = told["kernels"].as_array().context("no \"kernels\"")?;
        let kernels = kernels.iter().map(|kernel| {
            let readings = kernel["readings"].as_array().context("no \"readings\"")?;
            Ok(Figures {
                suite: word(&kernel["suite"])?,
                release: word(&kernel["release"])?,
                readings: readings.iter().map(Reading::parse).collect::<Result<_>>()?,
            })
        });
        Ok(Record {
            made: made.collect::<Result<_>>()?,
            kernels: kernels.collect::<Result<_>>()?,
        })
    }
}

fn path() -> PathBuf {
    workspace().join(FILE)
}

/// What figures depend on besides the kernels.
pub fn made(peers: bool) -> Vec<(String, String)> {
    let mut made = vec![
        ("date".to_owned(), said("date", &["-u", "+%Y-%m-%d"])),
        ("revision".to_owned(), revision()),
        ("machine".to_owned(), machine()),
        (
            "qemu".to_owned(),
            said("qemu-system-x86_64", &["--version"]),
        ),
        ("clock".to_owned(), "-icount shift=0,sleep=off".to_owned()),
        ("rustc".to_owned(), said("rustc", &["--version"])),
    ];
    if peers {
        for (tool, option) in [("bpftrace", "--version"), ("perf", "--version")] {
            made.push((tool.to_owned(), said(tool, &[option])));
        }
        let version = ["-W", "-f", "${Version}", "libbpf-tools"];
        made.push(("libbpf-tools".to_owned(), said("dpkg-query", &version)));
    }
    made
}

/// The first line of it.
fn said(program: &str, words: &[&str]) -> String {
    let text = read_text(Command::new(program).args(words)).unwrap_or_default();
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        "not here".to_owned()
    } else {
        line.to_owned()
    }
}

fn revision() -> String {
    let words = [
        "-C",
        &workspace().display().to_string(),
        "describe",
        "--always",
        "--dirty",
    ];
    said("git", &words)
}

fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.split_once(": "))
    };
    let model = field("model name").map_or("unknown CPU", |(_, model)| model);
    let cpus = text
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    format!("{cpus} x {model}; emulated, so it decides nothing but how long the bench takes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let amount = Amount {
            value: 600.5,
            spread: 0.3,
            base: Some(2947.0),
        };
        let readings = vec![
            Reading::new("get", "daxscope/fentry", Ok(amount)),
            Reading::new("get", "perf/kprobe", Err(anyhow::anyhow!("no \"perf\""))),
        ];
        let figures = Figures {
            suite: "trixie".into(),
            release: "6.12".into(),
            readings,
        };
        let made = vec![("date".to_owned(), "2026-11-22".to_owned())];
        let record = Record {
            made,
            kernels: vec![figures],
        };
        assert_eq!(Record::parse(&record.text()).expect("JSON"), record);
        assert!(Record::parse("{}").is_err());
        let kernel = record.kernel("trixie").expect("this kernel");
        assert_eq!(kernel.value("get", "daxscope/fentry"), Some(600.5));
        assert_eq!(kernel.value("get", "perf/kprobe"), None);
    }
}
