//! What promtool says of the rules and configurations, and whether each alert is tested both ways.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command::{read_text, workspace};
use crate::setup;

use super::config::{FOLDER, read};

const TESTS: [&str; 2] = ["alerts_test.yml", "alerts_week_test.yml"];

pub fn check() -> Result<()> {
    // Files that they name (certificates, passwords) are on the operator's machine.
    let configs = [
        "prometheus-file.yml",
        "prometheus-tls.yml",
        "prometheus-kubernetes.yml",
    ];
    let check = ["check", "config", "--syntax-only"];
    read_text(promtool()?.args(check).args(configs))?;
    read_text(promtool()?.args(["check", "rules", "rules.yml", "alerts.yml"]))?;
    read_text(promtool()?.args(["test", "rules"]).args(TESTS))?;
    let tests = TESTS
        .iter()
        .map(|name| read(name))
        .collect::<Result<String>>()?;
    let tested = tested(&tests);
    for alert in named(&read("alerts.yml")?, "- alert: ") {
        let [fires, silent] = tested.get(alert).copied().unwrap_or_default();
        ensure!(fires, "no test in {FOLDER} in which {alert} fires");
        ensure!(silent, "no test in {FOLDER} in which {alert} does not fire");
    }
    Ok(())
}

fn promtool() -> Result<Command> {
    let program = setup::promtool()?.context("no promtool: run `cargo xtask setup`")?;
    let mut command = Command::new(program);
    command.current_dir(workspace().join(FOLDER));
    Ok(command)
}

/// What follows a word, in each line that begins with it.
fn named<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let lines = text.lines().map(str::trim);
    lines.filter_map(|line| line.strip_prefix(word)).collect()
}

/// Of each alert, whether there is a test in which it fires, and one in which it does not.
fn tested(text: &str) -> BTreeMap<String, [bool; 2]> {
    let mut tested: BTreeMap<String, [bool; 2]> = BTreeMap::new();
    for test in text.split("- alertname: ").skip(1) {
        let name = test.lines().next().unwrap_or_default().trim();
        let [fires, silent] = tested.entry(name.to_owned()).or_default();
        if test.contains("exp_alerts: []") {
            *silent = true;
        } else if test.contains("- exp_labels:") {
            *fires = true;
        }
    }
    tested
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_ways_are_told_apart() {
        let text = "- alertname: A\n  exp_alerts: []\n- alertname: A\n  exp_alerts:\n    - exp_labels:\n- alertname: B\n  exp_alerts: []\n";
        let tested = super::tested(text);
        assert_eq!(tested["A"], [true, true]);
        assert_eq!(tested["B"], [false, true]);
    }
}
