//! docs/configure.md and deploy/daxscope.toml, from the list of keys.

use std::fmt::Write as _;

use serde_json::Value;

use super::{
    keys::{KEYS, Key},
    verb::setting,
};

/// docs/configure.md
pub(super) fn markdown() -> String {
    let mut text = include_str!("document.md").to_owned();
    text.push_str("\n## Keys\n\n| key | default | reloads |\n|---|---|---|\n");
    for key in &KEYS {
        let reloads = if key.reloads { "yes" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| [`{0}`](#{0}) | {1} | {reloads} |",
            key.name,
            default(key)
        );
    }
    for key in &KEYS {
        let flag = match key.value {
            "" => format!("`--{}`, `--{}`", key.name, key.no),
            value => format!("`--{} {value}`", key.name),
        };
        let _ = write!(
            text,
            "\n### {}\n\n{}.\n\n- {}; default: {}\n- {flag}, `{}`{}\n",
            key.name,
            about(key, "`false`"),
            key.field.allowed(),
            default(key),
            key.variable(),
            if key.reloads { "; *reloads*" } else { "" },
        );
        if !key.more.is_empty() {
            let _ = write!(text, "\n{}\n", key.more);
        }
    }
    text
}

/// A file that changes nothing: every key with its default, commented out.
pub(super) fn example() -> String {
    let mut text = "# What `daxscope run` reads, beside the files of daxscope.toml.d; each key with its default.\n\
                    # All of it: `man daxscope-run`, docs/configure.md. `daxscope config check` says whether a change\n\
                    # can be used, `daxscope config show` what is in force and where it came from.\n"
        .to_owned();
    for key in &KEYS {
        text.push('\n');
        for line in lines(&format!("{}.", about(key, "false")), 98) {
            let _ = writeln!(text, "# {line}");
        }
        let _ = match key.default() {
            Value::Null => writeln!(text, "#{} = {:?}", key.name, key.value),
            value => writeln!(text, "#{}", setting(key.name, &value)),
        };
    }
    text
}

/// What it does; of a switch that is on, what turning it off does.
fn about(key: &Key, off: &str) -> String {
    if key.default() == Value::Bool(true) {
        return format!("{off}: {}", key.about);
    }
    key.about.to_owned()
}

fn default(key: &Key) -> String {
    match key.default() {
        Value::Null => "none".into(),
        value => format!("`{value}`"),
    }
}

/// Words on lines that are not wider.
fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}
