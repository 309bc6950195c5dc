//! The command line, as somebody meets it on a machine where nothing can be probed.

use std::{
    net::TcpListener,
    process::{Command, Output},
};

fn daxscope(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_daxscope"))
        .args(args)
        .output()
        .expect("daxscope runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_shows_examples_and_exit_codes() {
    for verb in [
        &["--help"][..],
        &["run", "--help"],
        &["check", "--help"],
        &["list", "--help"],
        &["advise", "--help"],
        &["holders", "--help"],
        &["record", "--help"],
        &["report", "--help"],
        &["diff", "--help"],
        &["top", "--help"],
    ] {
        let output = daxscope(verb);
        let help = text(&output.stdout);
        assert!(output.status.success(), "{verb:?}");
        assert!(help.contains("Examples:"), "{verb:?}: {help}");
        assert!(verb.len() == 1 || help.contains("Exit status:"), "{help}");
    }
}

#[test]
fn version_names_the_revision() {
    let output = daxscope(&["--version"]);
    let expected = format!("daxscope {} ({})\n", daxscope::VERSION, daxscope::REVISION);
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn bad_usage_is_2_and_names_what_is_bad() {
    for (args, word) in [
        (&["run", "--listen", "nowhere"][..], "nowhere"),
        (&["run", "--mechanism", "magic"], "magic"),
        (&["chek"], "chek"),
        (&["check", "--jason"], "--jason"),
        (&["holders", "--from", "nowhere"], "nowhere"),
        (&[], "Usage"),
    ] {
        let output = daxscope(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let error = text(&output.stderr);
        assert!(error.contains(word), "{args:?}: {error}");
    }
}

#[test]
fn a_given_btf_that_is_none_is_1_and_named() {
    for verb in ["run", "check", "list", "advise", "holders"] {
        let output = daxscope(&[verb, "--btf", "/dev/null"]);
        assert_eq!(output.status.code(), Some(1), "{verb}");
        let error = text(&output.stderr);
        assert!(error.contains("/dev/null is not BTF"), "{verb}: {error}");
    }
}

#[test]
fn a_screen_needs_a_terminal_and_says_what_does_not() {
    let output = daxscope(&["top"]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(
        error.contains("terminal") && error.contains("trace"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn a_taken_port_is_1_and_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = daxscope(&["run", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(
        error.contains(&address) && error.contains("--listen"),
        "{error}"
    );
}

#[test]
fn json_is_one_object_whatever_the_kernel_allows() {
    let output = daxscope(&["check", "--json"]);
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("check --json prints JSON");
    let verdict = report["verdict"].as_str();
    let expected = match output.status.code() {
        Some(0) => "ok",
        Some(3) => "degraded",
        Some(1) => "failed",
        other => panic!("exit status {other:?}"),
    };
    assert_eq!(verdict, Some(expected));
    assert!(report["probes"].is_array() && report["kernel"].is_string());
    assert!(
        verdict == Some("ok") || !report["error"].is_null() || output.stdout.len() > 1000,
        "what is wrong has a reason: {report}"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_daxscope"))
        .arg("metrics-doc")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("daxscope runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(text(&output.stderr), "");
}
