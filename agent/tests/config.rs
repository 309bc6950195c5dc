//! What a daemon is told: where it comes from, and what is shown of it.
//! What is refused is in tests/refused.rs.

#[path = "support/daemon.rs"]
mod daemon;

use std::{collections::BTreeMap, ffi::OsString, fs, path::PathBuf};

use daemon::{Folder, Said, daxscope};
use daxscope::config::{
    self, Config, Effective, Listen, Origin, RunArgs,
    keys::{KEYS, Key},
};
use serde_json::{Value, json};

/// A file, a drop-in for each more, and variables.
fn effective(folder: &Folder, files: &[&str], variables: &[(&str, &str)]) -> Effective {
    let path = folder.configuration(files);
    let mut args = RunArgs::default();
    args.file = Some(path);
    let variables = variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    config::from(&args, variables, &PathBuf::new()).expect("a configuration that can be used")
}

fn shown(said: &Said) -> BTreeMap<String, (Value, Value)> {
    assert_eq!(said.status, Some(0), "{said:?}");
    let all: Value = serde_json::from_str(&said.out).expect("JSON");
    let keys = all["keys"].as_array().expect("keys");
    let entry = |key: &Value| {
        let name = key["key"].as_str().expect("a name").to_owned();
        (name, (key["value"].clone(), key["from"].clone()))
    };
    keys.iter().map(entry).collect()
}

#[test]
fn the_strongest_layer_wins_and_is_named() {
    let folder = Folder::new("layers");
    let file = folder.configuration(&[
        "max-connections = 1\nmax-requests = 1\nmax-headers = 101\nlatency = false\n",
        "max-connections = 2\n\nmax-requests = 2\nmax-headers = 102\n",
        "max-requests = 3\n",
    ]);
    let name = file.to_str().expect("a path");
    let words = [
        "config",
        "show",
        "--json",
        "--config",
        name,
        "--max-connections",
        "5",
        "--latency",
    ];
    let said = daxscope(
        &words,
        &[
            ("DAXSCOPE_MAX_CONNECTIONS", "4"),
            ("DAXSCOPE_MAX_REQUESTS", "4"),
            ("DAXSCOPE_LISTEN", ""),
        ],
    );
    let keys = shown(&said);
    let drop_in = format!("{name}.d/10.toml");
    for (key, value, from) in [
        (
            "max-connections",
            json!(5),
            json!({ "kind": "flag", "name": "--max-connections" }),
        ),
        (
            "latency",
            json!(true),
            json!({ "kind": "flag", "name": "--latency" }),
        ),
        (
            "max-requests",
            json!(4),
            json!({ "kind": "environment", "name": "DAXSCOPE_MAX_REQUESTS" }),
        ),
        (
            "max-headers",
            json!(102),
            json!({ "kind": "file", "path": drop_in, "line": 4 }),
        ),
        (
            "listen",
            json!(["127.0.0.1:9954"]),
            json!({ "kind": "default" }),
        ),
        ("btf", json!(null), json!({ "kind": "default" })),
    ] {
        assert_eq!(keys[key], (value, from), "{key}");
    }
    assert_eq!(keys.len(), KEYS.len());
}

#[test]
fn each_key_is_read_by_flag_variable_and_file() {
    let folder = Folder::new("ways");
    for key in &KEYS {
        let (toml, word) = daemon::good(key);
        let file = folder.configuration(&[&format!("{} = {toml}\n", key.name)]);
        let file = file.to_str().expect("a path");
        let empty = ["config", "show", "--json", "--config", "/dev/null"];
        let by_file = daxscope(&["config", "show", "--json", "--config", file], &[]);
        let by_variable = daxscope(&empty, &[(&key.variable(), &word)]);
        let flags = match (key.value, word.as_str()) {
            ("", "false") => vec![format!("--{}", key.no)],
            ("", _) => vec![format!("--{}", key.name)],
            _ => vec![format!("--{}", key.name), word],
        };
        let flags: Vec<&str> = empty
            .into_iter()
            .chain(flags.iter().map(String::as_str))
            .collect();
        let by_flag = daxscope(&flags, &[]);
        let [file, variable, flag] = [by_file, by_variable, by_flag]
            .map(|said| shown(&said).remove(key.name).expect("it is shown"));
        assert_ne!(
            file.0,
            key.default(),
            "{}: a value that is not the default",
            key.name
        );
        assert_eq!(file.0, variable.0, "{}", key.name);
        assert_eq!(file.0, flag.0, "{}", key.name);
        for (shown, kind) in [(file, "file"), (variable, "environment"), (flag, "flag")] {
            assert_eq!(shown.1["kind"], kind, "{}", key.name);
        }
    }
}

#[test]
fn what_is_shown_can_be_read_and_the_example_changes_nothing() {
    let folder = Folder::new("shown");
    let line = |key: &Key| format!("{} = {}", key.name, daemon::good(key).0);
    let all = KEYS.iter().map(line).collect::<Vec<_>>().join(
        "
",
    );
    let all = all.replace("\nlatency = false", "");
    let file = folder.configuration(&[&all]);
    let show = |file: &str| daxscope(&["config", "show", "--config", file], &[]);
    let first = show(file.to_str().expect("a path"));
    let again = folder.configuration(&[&first.out]);
    let again = effective(&folder, &[&fs::read_to_string(again).expect("a file")], &[]);
    assert_eq!(again.config, effective(&folder, &[&all], &[]).config);

    let example = daxscope(&["config", "example"], &[]).out;
    assert_eq!(
        effective(&folder, &[&example], &[]).config,
        Config::default()
    );
    let set = |line: &str| {
        line.strip_prefix('#')
            .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
            .map(|line| format!("{line}\n"))
    };
    let set: String = example
        .lines()
        .filter_map(set)
        .filter(|line| !line.contains("\"FILE\""))
        .collect();
    assert_eq!(set.lines().count() + 2, KEYS.len(), "{set}");
    assert_eq!(effective(&folder, &[&set], &[]).config, Config::default());
}

#[test]
fn paths_of_a_file_begin_at_its_folder() {
    let folder = Folder::new("paths");
    let config = effective(&folder, &["btf = \"a/b\"\nweb-config = \"/c\"\n"], &[]).config;
    assert_eq!(config.btf, Some(folder.path().join("a/b")));
    assert_eq!(config.web_config, Some("/c".into()));
    let config = effective(&folder, &[], &[("DAXSCOPE_BTF", "a/b")]).config;
    assert_eq!(config.btf, Some("a/b".into()));
}

#[test]
fn a_list_takes_the_place_of_another() {
    let folder = Folder::new("lists");
    let files = [
        "listen = [\"127.0.0.1:1\", \"[::1]:1\"]\n",
        "listen = [\"unix:/run/x\"]\n",
    ];
    let unix = Listen::Unix("/run/x".into());
    assert_eq!(
        effective(&folder, &files, &[]).config.listen,
        std::slice::from_ref(&unix)
    );
    let config = effective(
        &folder,
        &files,
        &[("DAXSCOPE_LISTEN", "[::1]:2, unix:/run/x")],
    )
    .config;
    assert_eq!(
        config.listen,
        [Listen::Tcp(([0, 0, 0, 0, 0, 0, 0, 1], 2).into()), unix]
    );
}

#[test]
fn a_reload_takes_what_it_can_and_says_what_it_cannot() {
    let folder = Folder::new("reload");
    let mut running = effective(&folder, &["latency = false\nmax-headers = 64\n"], &[]);
    let new = effective(
        &folder,
        &["max-headers = 128\nlisten = [\"[::1]:1\"]\nself-cost = false\n"],
        &[],
    );
    let change = running.change(&new);
    let file = folder.path().join("daxscope.toml");
    assert_eq!(
        change.applied,
        [format!("max-headers: 64 -> 128 ({}:1)", file.display())]
    );
    let listen = format!(
        "listen: [\"127.0.0.1:9954\"] -> [\"[::1]:1\"] ({}:2)",
        file.display()
    );
    assert_eq!(
        change.later,
        [listen, "latency: false -> true (default)".to_owned()]
    );
    assert_eq!(running.config.limits.headers, 128);
    assert_eq!(running.config.listen, Config::default().listen);
    assert!(!running.config.latency);
    // What was only said elsewhere is no change, and where it was said is known.
    assert_eq!(running.origin("self-cost"), &Origin::File(file.clone(), 3));
    assert_eq!(running.origin("latency"), &Origin::File(file, 1));
    let again = running.change(&new);
    assert!(
        again.applied.is_empty() && again.later == change.later,
        "{again:?}"
    );
}

#[test]
fn check_says_what_was_read() {
    let folder = Folder::new("check");
    let file = folder.configuration(&["drop = true\n", ""]);
    let name = file.to_str().expect("a path");
    let said = daxscope(&["config", "check", "--config", name], &[]);
    assert_eq!((said.status, said.error.as_str()), (Some(0), ""));
    assert_eq!(
        said.out,
        format!("read {name}, {name}.d/10.toml\nthe configuration can be used\n")
    );
    let broken = folder.configuration(&["drip = true\n"]);
    let said = daxscope(
        &[
            "config",
            "check",
            "--config",
            broken.to_str().expect("a path"),
        ],
        &[],
    );
    assert_eq!((said.status, said.out.as_str()), (Some(2), ""));
    assert_eq!(
        said.error,
        format!("daxscope: {name}:1: drip is no key; did you mean drop?\n")
    );
}

#[test]
fn what_is_beside_a_file_but_no_drop_in_is_not_read() {
    let folder = Folder::new("beside");
    let file = folder.configuration(&["", ""]);
    for name in [".hidden.toml", "10.toml.dpkg-old", "20.toml~", "README"] {
        fs::write(
            folder.path().join("daxscope.toml.d").join(name),
            "what = ever",
        )
        .expect("writes");
    }
    let said = daxscope(
        &[
            "config",
            "check",
            "--config",
            file.to_str().expect("a path"),
        ],
        &[],
    );
    assert_eq!(said.status, Some(0), "{said:?}");
}

#[test]
fn variables_of_others_are_left_alone() {
    let links = [
        ("DAXSCOPE_SERVICE_HOST", "10.0.0.1"),
        ("DAXSCOPE_SERVICE_PORT_METRICS", "9954"),
        ("DAXSCOPE_PORT", "tcp://10.0.0.1:9954"),
        ("DAXSCOPE_AGENT_PORT_9954_TCP_ADDR", "10.0.0.1"),
        ("DAXSCOPE_LOG", "info"),
        ("XDAXSCOPE_LISTN", "x"),
    ];
    let said = daxscope(&["config", "check", "--config", "/dev/null"], &links);
    assert_eq!(said.status, Some(0), "{said:?}");
}
