//! `top` as somebody has it before them: the real program in a pseudo-terminal, its screens held to the letter.
//! `UPDATE_EXPECT=1 cargo test --test top` rewrites the golden files.

#[path = "support/recording.rs"]
mod made;
#[path = "support/pty.rs"]
mod pty;
mod support;

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use daxscope::session::{file, recording::Recording};
use pty::{Pty, lines};
use support::golden;

const SHELL: &str = "$ daxscope top\r\n";
const SMALL: [u16; 2] = [80, 24];

/// A recording in a file, removed at the end.
struct Recorded(PathBuf);

impl Recorded {
    fn new(name: &str, recording: &Recording) -> Self {
        let path = std::env::temp_dir().join(format!("daxscope-top-{name}-{}", std::process::id()));
        let mut writer = file::Writer::create(&path, true, &recording.about).expect("a file");
        for state in &recording.states {
            writer.write(&recording.keys, state).expect("written");
        }
        writer.finish().expect("whole");
        Self(path)
    }

    fn top(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daxscope"));
        command.args(["top", "--replay"]).arg(&self.0);
        command.env_remove("NO_COLOR");
        command
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Holds the screen to a golden file, when it has become it.
fn shows(pty: &mut Pty, name: &str) {
    let name = format!("top-{name}.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        golden(&name, &pty.settled());
    } else {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(&name);
        let expected = fs::read_to_string(path).expect("a golden file");
        pty.wait_for(&name, |screen| lines(screen) == expected);
    }
}

/// Keys that are pressed before would be echoed.
fn opened(pty: &mut Pty) {
    pty.wait_for("opened", |screen| screen.contents().contains("q quit"));
}

#[test]
fn keys_change_what_is_shown() {
    let recorded = Recorded::new("keys", &made::recording());
    let mut pty = Pty::run(recorded.top(), SMALL, SHELL);
    shows(&mut pty, "opened");
    pty.press("\x1b[C\x1b[C\x1b[C");
    shows(&mut pty, "stepped");
    pty.press("t");
    shows(&mut pty, "totals");
    pty.press("t\x1b[D\x1b[Dsss");
    shows(&mut pty, "back-sorted");
    pty.press("\x1bOC\x1bOC/PIN_pages");
    shows(&mut pty, "typing");
    pty.press("\r");
    shows(&mut pty, "filtered");
    pty.press("\x1b\tgggz");
    shows(&mut pty, "grouped-zoomed");
    pty.press("?");
    shows(&mut pty, "help");
    pty.press("xq");
    assert_eq!(pty.end(SHELL).code(), Some(0));
}

#[test]
fn a_new_size_is_used() {
    let recorded = Recorded::new("size", &made::recording());
    let mut pty = Pty::run(recorded.top(), SMALL, SHELL);
    opened(&mut pty);
    pty.press(&"\x1b[C".repeat(9));
    shows(&mut pty, "last");
    pty.resize([120, 40]);
    shows(&mut pty, "last-120x40");
    pty.resize([40, 10]);
    shows(&mut pty, "last-40x10");
    pty.resize(SMALL);
    shows(&mut pty, "last");
    pty.press("\x03");
    assert_eq!(pty.end(SHELL).code(), Some(0));
}

#[test]
fn a_recording_is_played_in_its_own_time() {
    let mut quick = made::recording();
    for state in &mut quick.states {
        state.at /= 100;
    }
    let recorded = Recorded::new("played", &quick);
    let mut pty = Pty::run(recorded.top(), SMALL, SHELL);
    opened(&mut pty);
    pty.press(" ");
    pty.wait_for("at its end", |screen| {
        screen.contents().contains("reading 10 of 10")
    });
    pty.press("q");
    assert_eq!(pty.end(SHELL).code(), Some(0));
}

#[test]
fn nobody_called_is_shown_too() {
    let recorded = Recorded::new("empty", &made::empty());
    let mut pty = Pty::run(recorded.top(), SMALL, SHELL);
    shows(&mut pty, "empty");
    // No key is too much for it.
    pty.press("gGsSt\t\x1b[Z\x1b[6~\x1b[F\x1b[C\x1b[D\rq");
    assert_eq!(pty.end(SHELL).code(), Some(0));
}

#[test]
fn a_recording_that_tells_nothing_apart_is_one_line() {
    let mut recording = made::recording();
    recording.about.by.clear();
    recording.keys = vec![vec![]];
    for state in &mut recording.states {
        state.changed.retain(|group, _| *group == 0);
    }
    let recorded = Recorded::new("one", &recording);
    let mut pty = Pty::run(recorded.top(), SMALL, SHELL);
    shows(&mut pty, "one-group");
    pty.press("gGz\tq");
    assert_eq!(pty.end(SHELL).code(), Some(0));
}

#[test]
fn filters_and_tables_are_those_of_the_command_line() {
    let recorded = Recorded::new("filters", &made::recording());
    let mut command = recorded.top();
    command.args(["--device", "pmem1", "--by", "device,entry"]);
    let mut pty = Pty::run(command, SMALL, SHELL);
    shows(&mut pty, "one-device");
    pty.press("q");
    assert_eq!(pty.end(SHELL).code(), Some(0));
}

#[test]
fn an_error_is_said_where_the_shell_is() {
    let recorded = Recorded::new("error", &made::recording());
    let mut command = recorded.top();
    command.args(["--cgroup", "/a.slice"]);
    let before = format!("{SHELL}daxscope: the recording does not tell calls by cgroup");
    let mut pty = Pty::run(command, [200, 24], SHELL);
    pty.wait_for("refused", |screen| {
        screen.contents().contains("record with")
    });
    let said = pty.screen().contents();
    assert!(said.starts_with(&before.replace('\r', "")), "{said}");
    assert_eq!(pty.end(&said).code(), Some(1));
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let recorded = Recorded::new("signal", &made::recording());
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        let mut pty = Pty::run(recorded.top(), SMALL, SHELL);
        opened(&mut pty);
        pty.kill(signal);
        assert_eq!(pty.end(SHELL).code(), Some(128 + signal));
    }
}

#[test]
fn a_terminal_that_goes_away_ends_it() {
    let recorded = Recorded::new("gone", &made::recording());
    for ignored in [false, true] {
        let mut command = recorded.top();
        if ignored {
            // As nohup does.
            // SAFETY: a system call only, between fork and exec.
            unsafe {
                command.pre_exec(|| {
                    libc::signal(libc::SIGHUP, libc::SIG_IGN);
                    Ok(())
                });
            }
        }
        let mut pty = Pty::run(command, SMALL, SHELL);
        opened(&mut pty);
        let status = pty.hang_up();
        let expected = Some(128 + libc::SIGHUP);
        assert_eq!(status.code(), expected, "SIGHUP ignored: {ignored}");
    }
}

#[test]
fn a_shell_can_stop_it_and_let_it_go_on() {
    let recorded = Recorded::new("job", &made::recording());
    let mut shell = Command::new("sh");
    let line = format!(
        "set -m; {} top --replay {}; echo STOPPED; read line; fg >/dev/null; echo ENDED",
        env!("CARGO_BIN_EXE_daxscope"),
        recorded.0.display()
    );
    shell.args(["-c", &line]);
    let mut pty = Pty::run(shell, SMALL, SHELL);
    opened(&mut pty);
    pty.press("\x1b[C");
    pty.wait_for("stepped", |screen| {
        screen.contents().contains("reading 2 of 10")
    });
    pty.press("\x1a");
    pty.wait_for("stopped", |screen| {
        !screen.alternate_screen() && screen.contents().contains("STOPPED")
    });
    assert!(pty.is_as_before(), "the shell has its terminal");
    pty.press("\r");
    pty.wait_for("back", |screen| {
        screen.alternate_screen() && screen.contents().contains("reading 2 of 10")
    });
    pty.press("\x1b[Cq");
    pty.wait_for("ended", |screen| screen.contents().contains("ENDED"));
    let after = format!("{SHELL}STOPPED\n\nENDED");
    assert_eq!(pty.end(&after.replace('\r', "")).code(), Some(0));
}

#[test]
fn colours_are_left_out_when_nobody_wants_them() {
    let recorded = Recorded::new("colours", &made::recording());
    for colours in [true, false] {
        let mut command = recorded.top();
        if !colours {
            command.env("NO_COLOR", "1");
        }
        let mut pty = Pty::run(command, SMALL, SHELL);
        opened(&mut pty);
        pty.press(&"\x1b[C".repeat(9));
        pty.wait_for("at the end", |screen| {
            screen.contents().contains("reading 10 of 10")
        });
        pty.settled();
        let screen = pty.screen();
        let cells = (0..24).flat_map(|row| (0..80).map(move |column| [row, column]));
        let coloured = cells
            .filter_map(|[row, column]| screen.cell(row, column))
            .any(|cell| cell.fgcolor() != vt100::Color::Default);
        assert_eq!(coloured, colours);
        pty.press("q");
        pty.end(SHELL);
    }
}
