//! Whether the metrics and the commands that documents, dashboards and rules name are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::command::read_text;
use crate::documents::{self, Texts};
use crate::target_dir;

const PREFIX: &str = "daxscope_";
/// Begins like a metric, and is none: a key of recordings.
const OTHER: &str = "daxscope_recording";

/// The agent was built by whoever calls this.
pub fn check() -> Result<()> {
    let files = documents::read()?;
    let metrics = metrics(&files)?;
    let mut helps = BTreeMap::new();
    let mut faults = Vec::new();
    let mut counts = (0, 0);
    for (path, text) in &files {
        let name = path.display();
        for word in words(text) {
            counts.0 += 1;
            if !word.is_known(&metrics) {
                faults.push(format!("{name}: there is no metric or rule {}", word.name));
            }
        }
        for command in commands(text, documents::is_page(path)) {
            counts.1 += 1;
            if let Some(fault) = fault(&command, &mut helps)? {
                faults.push(format!("{name}: `{command}`: {fault}"));
            }
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    ensure!(
        counts.0 > 200 && counts.1 > 50,
        "too few names were found to look at: {counts:?}"
    );
    Ok(())
}

/// Names of all series: of docs/metrics.md, which the agent writes, and of the recording rules.
fn metrics(files: &Texts) -> Result<BTreeSet<String>> {
    let file = |name: &str| {
        files
            .get(Path::new(name))
            .with_context(|| format!("no {name}"))
    };
    let mut names = BTreeSet::new();
    for line in file("docs/metrics.md")?.lines() {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let name = cells.next().unwrap_or_default().trim_matches('`');
        if !name.starts_with(PREFIX) {
            continue;
        }
        let ends: &[&str] = match cells.next() {
            Some("histogram") => &["", "_bucket", "_sum", "_count"],
            _ => &[""],
        };
        names.extend(ends.iter().map(|end| format!("{name}{end}")));
    }
    let rules = file("deploy/prometheus/rules.yml")?.lines();
    let records = rules.filter_map(|line| line.trim().strip_prefix("- record: "));
    names.extend(records.map(str::to_owned));
    Ok(names)
}

/// A name in a text.
struct Word<'a> {
    name: &'a str,
    /// It goes on in any way: `daxscope_pagemap_*`.
    begins: bool,
}

impl Word<'_> {
    fn is_known(&self, metrics: &BTreeSet<String>) -> bool {
        let begins = |metric: &String| self.begins && metric.contains(self.name);
        // A path of Rust is none either.
        let other = self.name == OTHER || self.name.contains("::");
        other || metrics.contains(self.name) || metrics.iter().any(begins)
    }
}

fn words(text: &str) -> Vec<Word<'_>> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(PREFIX) {
        let before = rest[..at]
            .char_indices()
            .rev()
            .take_while(|(_, c)| part(*c));
        let from = before.last().map_or(at, |(from, _)| from);
        let after = &rest[at..];
        let end = at + after.find(|c| !part(c)).unwrap_or(after.len());
        // A colon at the end is of the sentence.
        let name = rest[from..end].trim_matches(':');
        let begins = name.ends_with('_') && rest[end..].starts_with(['*', '.', '<', '{', '…']);
        words.push(Word { name, begins });
        rest = &rest[end..];
    }
    words
}

/// Every command line that begins with our program: between backticks, and in blocks of code.
fn commands(text: &str, document: bool) -> Vec<String> {
    let mut commands = Vec::new();
    let mut block = false;
    for line in text.lines() {
        if document && line.trim_start().starts_with("```") {
            block = !block;
            continue;
        }
        let spans: Vec<&str> = if block {
            vec![line.split(" #").next().unwrap_or(line)]
        } else {
            line.split('`').skip(1).step_by(2).collect()
        };
        for span in spans {
            for one in span.split(['|', ';', '&', '(', '>']) {
                let one = one.trim().trim_start_matches(['$', '#']).trim_start();
                let one = one.strip_prefix("sudo ").unwrap_or(one);
                if let Some(rest) = one.strip_prefix("daxscope ") {
                    commands.push(format!("daxscope {}", rest.trim()));
                }
            }
        }
    }
    commands
}

/// What is wrong with a command: its verb, or an option that the verb's help does not have.
fn fault(command: &str, helps: &mut BTreeMap<String, Option<String>>) -> Result<Option<String>> {
    let mut words = command.split_whitespace().skip(1).peekable();
    let Some(verb) = words.next_if(|word| !word.starts_with('-')) else {
        return Ok(None);
    };
    let verbs = match words.peek() {
        Some(second) if verb == "config" && !second.starts_with('-') => {
            vec![verb, words.next().unwrap_or_default()]
        }
        _ => vec![verb],
    };
    let help = match helps.entry(verbs.join(" ")) {
        std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
        std::collections::btree_map::Entry::Vacant(new) => new.insert(help(&verbs)?),
    };
    let Some(help) = help else {
        return Ok(Some(format!("there is no verb {}", verbs.join(" "))));
    };
    // What follows `--` is somebody else's command.
    for word in words.take_while(|word| *word != "--") {
        let option = word.trim_matches(['[', ']', ',', '.']);
        let option = option.split('=').next().unwrap_or_default();
        if option.starts_with('-')
            && !help
                .split([' ', ',', '\n', '[', '='])
                .any(|one| one == option)
        {
            return Ok(Some(format!("there is no option {option}")));
        }
    }
    Ok(None)
}

/// `None` if there is no such verb.
fn help(verbs: &[&str]) -> Result<Option<String>> {
    let program = target_dir()?.join("debug/daxscope");
    ensure!(program.is_file(), "no {}", program.display());
    Ok(read_text(Command::new(program).args(verbs).arg("--help")).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whole() {
        let text =
            "`a:daxscope_b:sum` is daxscope_c_total: and `daxscope_d_*`, {x=~\"c.*:daxscope_.*\"}";
        let found: Vec<_> = words(text)
            .iter()
            .map(|word| (word.name.to_owned(), word.begins))
            .collect();
        let expected = [
            ("a:daxscope_b:sum", false),
            ("daxscope_c_total", false),
            ("daxscope_d_", true),
            ("daxscope_", true),
        ];
        assert_eq!(
            found,
            expected.map(|(name, begins)| (name.to_owned(), begins))
        );
    }

    #[test]
    fn commands_are_found_where_they_are_commands() {
        let text = "`sudo daxscope check --json | jq` and `systemctl status daxscope -n 5`\n```\n$ daxscope list  # all\ndaxscope: no\n```\n";
        assert_eq!(
            commands(text, true),
            ["daxscope check --json", "daxscope list"]
        );
    }
}
