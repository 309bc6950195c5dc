//! Manual pages and completions are of all verbs and options that `--help` shows.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn daxscope(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daxscope"));
    command.args(args).output().expect("daxscope runs")
}

fn help(args: &[&str]) -> String {
    let output = daxscope(&[args, &["--help"]].concat());
    String::from_utf8(output.stdout).expect("text")
}

/// First words below "Commands:".
fn verbs() -> Vec<String> {
    let help = help(&[]);
    let (_, below) = help.split_once("Commands:\n").expect("a list of verbs");
    let lines = below.lines().take_while(|line| !line.is_empty());
    let words = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let words = words.filter_map(|line| line.split_whitespace().next());
    words
        .filter(|verb| *verb != "help")
        .map(Into::into)
        .collect()
}

/// The long options of a verb.
fn options(verb: &str) -> Vec<String> {
    let help = help(&[verb]);
    let lines = help
        .lines()
        .filter(|line| line.trim_start().starts_with('-'));
    let words = lines.flat_map(str::split_whitespace);
    let options = words.filter(|word| word.starts_with("--") && word.len() > 2);
    let name = |option: &str| option.trim_end_matches([',', '.']).to_owned();
    options.map(name).collect()
}

#[test]
fn each_verb_has_a_page_with_its_options_and_examples() {
    let verbs = verbs();
    assert!(
        verbs.len() > 8 && verbs.contains(&"report".into()),
        "{verbs:?}"
    );
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("manual/man1");
    let _ = fs::remove_dir_all(&directory);
    let output = daxscope(&["man", directory.to_str().expect("a path")]);
    assert!(output.status.success(), "{output:?}");
    let read = |page: &str| {
        let text = fs::read_to_string(directory.join(page));
        // As it is read: hyphens are escaped in roff.
        text.expect("a page").replace("\\-", "-")
    };
    for verb in &verbs {
        let page = read(&format!("daxscope-{verb}.1"));
        for option in options(verb) {
            assert!(
                page.contains(&format!("\\fB{option}\\fR")),
                "{verb} {option}: {page}"
            );
        }
        for section in [
            "SH NAME\n",
            "SH SYNOPSIS\n",
            "SH EXAMPLES\n.nf\n",
            "SH \"EXIT STATUS\"\n",
        ] {
            assert!(page.contains(section), "{verb} {section}: {page}");
        }
    }
    let all = read("daxscope.1");
    assert!(
        verbs
            .iter()
            .all(|verb| all.contains(&format!("daxscope-{verb}(1)"))),
        "{all}"
    );
    let pages = fs::read_dir(&directory).expect("a directory").count();
    assert_eq!(pages, verbs.len() + 1, "no page of what is hidden");
}

#[test]
fn each_shell_completes_every_verb() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = daxscope(&["completions", shell]);
        assert!(output.status.success(), "{output:?}");
        let script = String::from_utf8(output.stdout).expect("text");
        for word in verbs()
            .iter()
            .map(String::as_str)
            .chain(["min-latency", "geometry"])
        {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(daxscope(&["completions", "cmd"]).status.code(), Some(2));
}
