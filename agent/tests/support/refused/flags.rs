//! Command lines, and variables that are no text.

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

use daxscope::config::{field::Field, keys::KEYS};

use super::Case;
use crate::daemon::good;

/// Flags that lack a value, have one too much, stand there twice or with their opposite; words that are none; bytes that are no
/// text.
pub fn all() -> Vec<Case> {
    let mut cases = vec![];
    let mut add = |what: &str, names: &str, words: &[&str]| {
        let case = Case::new(format!("flags {what}"), &[names]);
        cases.push(case.no_file().words(words.iter().copied()));
    };
    for key in &KEYS {
        let (flag, no) = (format!("--{}", key.name), format!("--{}", key.no));
        let (flag, no) = (flag.as_str(), no.as_str());
        if let Field::Switch(_) = key.field {
            add(&format!("{flag} {no}"), flag, &[flag, no]);
            add(&format!("{flag}=true"), flag, &[&format!("{flag}=true")]);
            add(&format!("{flag} twice"), flag, &[flag, flag]);
        } else {
            add(&format!("{flag} at the end"), flag, &[flag]);
            let (_, word) = good(key);
            if key.name == "listen" {
                add(
                    "--listen of one twice",
                    flag,
                    &[flag, "127.0.0.1:1", flag, "127.0.0.1:1"],
                );
            } else {
                add(&format!("{flag} twice"), flag, &[flag, &word, flag, &word]);
            }
        }
    }
    for word in [
        "now",
        "--",
        "-x",
        "--help=me",
        "--config=",
        "--config",
        "--no-listen",
        "-",
    ] {
        // What stands behind `--` is a word.
        let words = [word, "more"];
        let words = if word.starts_with("--config") {
            &words[..1]
        } else {
            &words
        };
        let named = if word == "--" {
            "more"
        } else {
            word.split('=').next().unwrap_or_default()
        };
        add(word, named, words);
    }
    let bytes = || OsString::from_vec(vec![b'a', 0xff, b'\n', 0x1b]);
    for key in KEYS.iter().filter(|key| !key.value.is_empty()) {
        let flag = format!("--{}", key.name);
        let case = Case::new(format!("flags {flag} of no text"), &[&flag]);
        let mechanism = matches!(key.field, Field::Mechanism(_));
        if !mechanism {
            cases.push(case.no_file().words([flag.into(), bytes()]));
        }
    }
    for key in &KEYS {
        let case = Case::new(
            format!("variable {} of no text", key.variable()),
            &[&key.variable()],
        );
        cases.push(case.no_file().variable(key.variable(), bytes()));
    }
    let name = OsString::from_vec(b"DAXSCOPE_\xff\n".to_vec());
    cases.push(
        Case::new("variable with a name of no text".into(), &["DAXSCOPE_"])
            .no_file()
            .variable(name, "1"),
    );
    cases
}
