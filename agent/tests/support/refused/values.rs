//! Values of a wrong type, and values that are none.

use daxscope::config::{
    field::Field,
    keys::{KEYS, Key},
};

use super::{Case, in_files};

/// Each key with a value of each type that is not its own, in a file.
pub fn types() -> Vec<Case> {
    let all = [
        "7",
        "true",
        "\"x\"",
        "1.5",
        "[1]",
        "[]",
        "2026-11-23",
        "{ a = 1 }",
        "[[\"x\"]]",
        "[\"127.0.0.1:1\", 2]",
    ];
    let mut cases = vec![];
    for key in &KEYS {
        let own = match key.field {
            Field::Switch(_) => "true",
            Field::Count(..) => "7",
            Field::File(_) => "\"x\"",
            _ => "",
        };
        for value in all.into_iter().filter(|value| *value != own) {
            let what = format!("type {} = {value}", key.name);
            let line = format!("# a line before it\n{} = {value}\n", key.name);
            cases.push(in_files(what, &[line], 0, &[&format!(":2: {}:", key.name)]));
        }
    }
    cases
}

/// Each key with values of its type that it cannot have, in a file, in the environment and by its flag.
pub fn impossible() -> Vec<Case> {
    let mut cases = vec![];
    for key in &KEYS {
        for word in words(key) {
            let said = format!("{:?}", word.chars().take(30).collect::<String>());
            let toml = toml(key, &word);
            let file = format!("value {} = {said} in a file", key.name);
            cases.push(in_files(
                file,
                &["", &format!("{} = {toml}\n", key.name)],
                1,
                &[&format!(":1: {}", key.name)],
            ));
            // An empty variable is not set; no variable or word has a NUL in it.
            if word.contains('\0') {
                continue;
            }
            if !word.is_empty() {
                let what = format!("value {} = {said} in the environment", key.name);
                let case = Case::new(
                    what,
                    &[&format!("environment variable {}: ", key.variable())],
                );
                cases.push(case.no_file().variable(key.variable(), word.clone()));
            }
            if !key.value.is_empty() {
                let what = format!("value {} = {said} by a flag", key.name);
                let case = Case::new(what, &[&format!("--{}", key.name)]).no_file();
                cases.push(case.words([format!("--{}={word}", key.name)]));
            }
        }
    }
    cases
}

fn words(key: &Key) -> Vec<String> {
    let words: &[&str] = match &key.field {
        Field::Switch(_) => &["yes", "1", "TRUE", "on", "true "],
        Field::Count(_, range) => {
            let beyond = (range.end() + 1).to_string();
            let below = (range.start() - 1).to_string();
            let more = [
                "-1",
                "99999999999999999999",
                "170141183460469231731687303715884105728",
                "1e3",
                "many",
                "8192 B",
                "٣",
            ];
            return more
                .map(String::from)
                .into_iter()
                .chain([below, beyond])
                .collect();
        }
        Field::Time(..) => &[
            "5",
            "-1s",
            "0s",
            "1 parsec",
            "1e9h",
            "s",
            "5s5",
            "99999999h",
            "NaNs",
            "0.001s",
            "1d",
        ],
        Field::Mode(_) => &["888", "1777", "-1", "rw-rw----", "0x1ff", "", "0o", "66 0"],
        Field::Mechanism(_) => &["magic", "AUTO", "auto ", "", "fentry,kprobe"],
        Field::File(_) => &["", "a\0b"],
        Field::Places(_) => &[
            "localhost:9954",
            "127.0.0.1",
            ":9954",
            "127.0.0.1:99999",
            "256.0.0.1:1",
            "::1:9954",
            "[::1]",
            "unix:",
            "unix:x",
            "unix:/x/",
            "/run/x.sock",
            "http://127.0.0.1:9954",
            "tcp:127.0.0.1:1",
            "127.0.0.1:-1",
            "unix:/a\0b",
            "\u{1b}[31m127.0.0.1:1",
        ],
    };
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    if let Field::Places(_) = key.field {
        words.push(format!("unix:/{}", "x".repeat(107)));
    }
    words
}

/// As it stands in a file.
fn toml(key: &Key, word: &str) -> String {
    let quoted = serde_json::Value::from(word).to_string();
    match key.field {
        Field::Places(_) => format!("[{quoted}]"),
        // As a number where it is one in TOML.
        Field::Count(..) if word.parse::<i64>().is_ok() => word.to_owned(),
        _ => quoted,
    }
}
