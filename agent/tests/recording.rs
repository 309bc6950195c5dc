//! A recording in a file: what was written is read, and of anything else nothing.

#[path = "support/recording.rs"]
mod made;

use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use daxscope::session::{
    file::{self, Writer},
    recording::Recording,
};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};

/// A directory that is gone with it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("recording-{name}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a directory");
        Self(dir)
    }

    fn file(&self) -> PathBuf {
        self.0.join("file")
    }

    /// What is said of a file with these bytes.
    fn read(&self, bytes: &[u8]) -> Result<Recording, String> {
        fs::write(self.file(), bytes).expect("written");
        file::read(&self.file()).map_err(|error| format!("{error:#}"))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn write(path: &Path, recording: &Recording) {
    let mut writer = Writer::create(path, false, &recording.about).expect("begun");
    for (n, state) in recording.states.iter().enumerate() {
        // A group is there from the first reading in which it is counted.
        let met = recording.states[..=n]
            .iter()
            .flat_map(|state| state.changed.keys());
        let met = met.max().map_or(0, |group| group + 1);
        writer
            .write(&recording.keys[..met], state)
            .expect("written");
    }
    writer.finish().expect("finished");
}

/// The file of the made-up session.
fn bytes(dir: &Dir) -> Vec<u8> {
    write(&dir.0.join("whole"), &made::recording());
    fs::read(dir.0.join("whole")).expect("read")
}

fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes)
        .read_to_string(&mut text)
        .expect("text");
    text
}

fn packed(text: &str) -> Vec<u8> {
    let mut out = GzEncoder::new(vec![], Compression::fast());
    out.write_all(text.as_bytes()).expect("packed");
    out.finish().expect("packed")
}

#[test]
fn report_shows_a_file_without_privileges() {
    let dir = Dir::new("report");
    write(&dir.file(), &made::recording());
    let report = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_daxscope"));
        let output = command.arg("report").arg(dir.file()).args(args).output();
        let output = output.expect("daxscope runs");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let golden = include_str!("golden/session.txt");
    assert_eq!(
        report(&[]),
        (Some(3), golden.into(), String::new()),
        "something was lost"
    );

    let (status, json, _) = report(&["--json", "--by", "comm", "--geometry", "2M"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (status, json["total"]["calls"].as_u64()),
        (Some(3), Some(403))
    );

    let picture = dir.0.join("a.svg");
    let (_, csv, notes) = report(&["--csv", "--svg", picture.to_str().expect("a path")]);
    assert!(csv.starts_with("geometry,entry,calls,"), "{csv}");
    assert!(notes.contains("LOST 1 unmatched_return"), "{notes}");
    let picture = fs::read_to_string(&picture).expect("drawn");
    assert!(picture.starts_with("<svg"), "{picture}");

    let (status, _, error) = report(&["--folded"]);
    assert_eq!(status, Some(1));
    assert!(error.contains("add kstack or ustack to --by"), "{error}");
    assert_eq!(report(&["--json", "--csv"]).0, Some(2));

    fs::write(dir.file(), "#!/bin/sh").expect("written");
    let (status, out, error) = report(&[]);
    assert_eq!((status, out.as_str()), (Some(1), ""), "nothing half-read");
    assert!(
        error.contains("is no whole recording: it is not gzip"),
        "{error}"
    );
}

#[test]
fn what_was_written_is_read() {
    let dir = Dir::new("round");
    for recording in [made::recording(), made::empty()] {
        write(&dir.file(), &recording);
        assert_eq!(file::read(&dir.file()).expect("whole"), recording);
        fs::remove_file(dir.file()).expect("removed");
    }
    let text = unpacked(&bytes(&dir));
    assert!(
        text.starts_with("{\"daxscope_recording\":1}\n{\"about\":{"),
        "{text}"
    );
    assert!(
        text.ends_with("\n{\"end\":{\"keys\":4,\"states\":10}}\n"),
        "{text}"
    );
}

#[test]
fn a_cut_file_is_an_error_wherever_it_is_cut() {
    let dir = Dir::new("cut");
    let bytes = bytes(&dir);
    assert!(bytes.len() > 1024, "{} bytes", bytes.len());
    for end in (0..bytes.len())
        .step_by(64)
        .chain(bytes.len() - 16..bytes.len())
    {
        let error = dir.read(&bytes[..end]).expect_err("cut");
        assert!(
            error.contains("file is no whole recording: "),
            "{end}: {error}"
        );
    }
    // Cut before it was packed: gzip is content.
    let text = unpacked(&bytes);
    for end in (0..text.len())
        .step_by(64)
        .chain(text.len() - 16..text.len())
    {
        dir.read(&packed(&text[..end])).expect_err("cut");
    }
}

#[test]
fn a_flipped_bit_changes_nothing_that_is_read() {
    let dir = Dir::new("flipped");
    let (recording, mut bytes) = (made::recording(), bytes(&dir));
    let mut errors = 0;
    for at in 0..bytes.len() {
        let bit = 1 << (at % 8);
        bytes[at] ^= bit;
        match dir.read(&bytes) {
            Err(_) => errors += 1,
            // Gzip's header tells when and where it was packed, which nobody asks.
            Ok(read) => assert!(at < 10 && read == recording, "byte {at}"),
        }
        bytes[at] ^= bit;
    }
    assert!(errors >= bytes.len() - 10, "{errors}");
}

#[test]
fn what_is_none_is_named_in_words() {
    let dir = Dir::new("foreign");
    let whole = bytes(&dir);
    let text = unpacked(&whole);
    let lines: Vec<&str> = text.lines().collect();
    let first = |line: &str| {
        lines
            .iter()
            .position(|l| l.starts_with(line))
            .expect("there")
    };
    let with = |at: usize, line: &str| {
        let mut lines = lines.clone();
        lines[at] = line;
        packed(&format!("{}\n", lines.join("\n")))
    };
    let key = first("{\"key\"");
    let change = first("{\"change\"");
    let end = lines.len() - 1;
    let twice = format!("{}\n{}", lines[change], lines[change]);
    let long = format!("{{\"key\":[\"{}\"]}}", "x".repeat(5 << 20));
    for (bytes, words) in [
        (vec![], "it is empty"),
        (b"{\"daxscope_recording\":1}\n".to_vec(), "it is not gzip"),
        (
            packed("#!/bin/sh\n"),
            "first line does not say daxscope_recording",
        ),
        (packed(""), "it ends in line 1"),
        (
            with(0, "{\"daxscope_recording\":2}"),
            "its format is 2, of a newer daxscope",
        ),
        (with(0, "{\"daxscope_recording\":0}"), "no format 0"),
        (with(1, lines[key]), "line 2 does not say"),
        (with(key, lines[1]), "a second time"),
        (with(key, "{\"key\":[]}"), "has 0 values where 11"),
        (with(key, &long), "longer than 4194304 bytes"),
        (
            with(key, "{\"\\u001b]0;\":1}"),
            "unknown variant `\\x1b]0;`",
        ),
        (with(change, "{\"change\":[99,{}]}"), "missing field"),
        (
            with(change, &lines[change].replace("[0,", "[99,")),
            "group 99",
        ),
        (
            with(change, &lines[change].replace("[0,", "[-1,")),
            "invalid value",
        ),
        (
            with(
                change,
                &lines[change].replace("\"slots\":{", "\"slots\":{\"9999\":1,"),
            ),
            "slot 9999",
        ),
        (with(change, &twice), "group 0 twice"),
        (with(change, lines[key]), "says 2 changes and has 1"),
        (
            with(end - 1, &lines[end - 1].replace("10003", "1")),
            "backwards",
        ),
        (with(end - 1, lines[key]), "last reading is not whole"),
        (
            with(end, "{\"end\":{\"keys\":4,\"states\":9}}"),
            "but there are 4 and 10",
        ),
        (
            with(end, &format!("{}\n{}", lines[end], lines[end])),
            "more behind its end line",
        ),
        ([&whole[..], b"x"].concat(), "more behind its end"),
        ([&whole[..], &whole].concat(), "more behind its end"),
    ] {
        let error = dir.read(&bytes).expect_err(words);
        assert!(error.contains(words), "{words}: {error}");
        assert!(!error.contains('\x1b'), "{error}");
    }
    let error = file::read(&dir.0.join("a\nb")).expect_err("not there");
    assert!(
        format!("{error:#}").contains("a\\x0ab: No such file"),
        "{error:#}"
    );
}

#[test]
fn sums_that_no_counter_reaches_do_not_overflow() {
    let dir = Dir::new("sums");
    let most = u64::MAX.to_string();
    let text = unpacked(&bytes(&dir)).replace("\"calls\":400", &format!("\"calls\":{most}"));
    let recording = dir.read(&packed(&text)).expect("readable");
    let totals = recording.totals();
    let mut sum = totals[0].clone();
    sum.add(&totals[1]);
    assert_eq!(sum.calls, u64::MAX);
}

#[test]
fn a_file_that_is_there_stays_unless_it_is_forced() {
    let dir = Dir::new("there");
    let recording = made::recording();
    let about = &recording.about;
    fs::write(dir.file(), "dear").expect("written");
    let create = |force| Writer::create(&dir.file(), force, about).map_err(|e| format!("{e:#}"));
    let error = create(false).err().expect("it is there");
    assert!(error.contains("--force"), "{error}");

    // Given up: nothing has changed, and nothing stays.
    drop(create(true).expect("forced"));
    assert_eq!(fs::read_to_string(dir.file()).expect("there"), "dear");
    assert_eq!(fs::read_dir(&dir.0).expect("a directory").count(), 1);

    create(true).expect("forced").finish().expect("finished");
    assert_eq!(file::read(&dir.file()).expect("whole").about, *about);
    assert_eq!(fs::read_dir(&dir.0).expect("a directory").count(), 1);

    // Another session writes it.
    fs::remove_file(dir.file()).expect("removed");
    let other = create(false).expect("free");
    let error = create(false).err().expect("two at once");
    assert!(error.contains("file.partial is there"), "{error}");
    other.finish().expect("finished");

    let error = Writer::create(Path::new("/dev/null"), true, about)
        .err()
        .expect("a device");
    assert!(error.to_string().contains("no regular file"), "{error}");
}
