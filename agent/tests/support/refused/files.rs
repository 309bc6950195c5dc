//! Files that are not TOML, and what is no file.

use std::{
    ffi::{CString, OsString},
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink, net::UnixListener},
};

use super::{Case, Chance, in_files};
use crate::daemon::Folder;

const SOUND: [&str; 6] = [
    "# a comment",
    "max-connections = 64",
    "header-timeout = \"3s\"",
    "",
    "listen = [\"127.0.0.1:0\"]",
    "latency = false # another",
];

/// A sound file into which a line that is none was put somewhere.
pub fn broken() -> Vec<Case> {
    let lines = [
        "= 1",
        "mechanism",
        "mechanism =",
        "mechanism = auto",
        "listen = [",
        "drop = tru",
        "drop = true false",
        "drop = True",
        "drop: true",
        "--no-drop",
        "max-headers = 1_",
        "max-headers = 0o9",
        "max-headers = 010",
        "max-headers = 1,",
        "btf = \"abc",
        "btf = 'a'b'",
        "btf = \"\\q\"",
        "btf = \"\\uD800\"",
        "btf = \"\"\"",
        "btf = \u{1}",
        "[",
        "]",
        "[web",
        "[[limits]]",
        "[listen]",
        "mechanism.a = 1",
        "max-connections = 64",
        "\"max-connections\" = 64",
        "#\u{7}",
        "drop = true drop = true",
        "{ drop = true }",
        "drop = {",
        "<<<<<<< HEAD",
        "$(drop)",
        "\u{feff}drop = true",
    ];
    let mut chance = Chance(0x746f_6d6c);
    let mut cases = vec![];
    for line in lines {
        for _ in 0..2 {
            // Not first: a mark of the order of bytes is allowed there.
            let at = 1 + chance.below(SOUND.len() - 1);
            let mut all = SOUND.to_vec();
            all.insert(at, line);
            let what = format!("broken {line:?} {} as line {}", cases.len(), at + 1);
            cases.push(in_files(what, &[all.join("\n")], 0, &[]));
        }
    }
    cases
}

/// What is named as a file, or lies where one should, and is none that can be read.
pub fn none() -> Vec<Case> {
    let large = format!("#{}\n", "x".repeat(1 << 20));
    let mut cases = vec![
        in_files(
            "not UTF-8".into(),
            &[b"\n\nbtf = \"\xff\"".as_slice()],
            0,
            &["line 3 is not UTF-8"],
        ),
        in_files(
            "a drop-in is not UTF-8".into(),
            &[b"".as_slice(), b"\xc3\x28"],
            1,
            &["line 1 is not UTF-8"],
        ),
        in_files("too large".into(), &[&large], 0, &["larger than"]),
        in_files("zeros".into(), &[[0; 100]], 0, &[]),
        in_files(
            "an ELF file".into(),
            &[b"\x7fELF\x02\x01\x01\0".as_slice()],
            0,
            &[],
        ),
    ];
    let folder = Folder::new("refused/none");
    let path = |name: &str| folder.path().join(name);
    let made = "it can be made";
    fs::create_dir(path("folder")).expect(made);
    symlink("loop", path("loop")).expect(made);
    symlink("nothing", path("dangling")).expect(made);
    fs::write(path("file"), "").expect(made);
    fs::write(path("file.d"), "").expect(made);
    drop(UnixListener::bind(path("socket")).expect(made));
    let pipe = CString::new(path("pipe").as_os_str().as_bytes()).expect("a path");
    // SAFETY: a NUL ends the path.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0, "{made}");
    let named = [
        "folder",
        "loop",
        "dangling",
        "file",
        "socket",
        "pipe",
        "file/below",
        "nothing",
        "folder/",
    ];
    for name in named {
        let file = path(name).into_os_string();
        let shown = file.to_string_lossy().into_owned();
        let case = Case::new(format!("file {name} by a flag"), &[&shown]);
        cases.push(case.words([OsString::from("--config"), file.clone()]));
        let case = Case::new(format!("file {name} by a variable"), &[&shown]);
        cases.push(case.variable("DAXSCOPE_CONFIG", file));
    }
    for name in ["/dev/zero", "/proc/self/mem"] {
        cases.push(Case::new(format!("file {name}"), &[name]).words(["--config", name]));
    }
    for name in ["folder", "loop", "dangling", "socket", "pipe"] {
        let what = format!("drop-in that is {name}");
        let beside = Folder::new(&format!("refused/beside-{name}"));
        let file = beside.configuration(&["", ""]);
        let link = beside.path().join("daxscope.toml.d/20.toml");
        symlink(path(name), &link).expect(made);
        let case = Case::new(what, &[&link.to_string_lossy()]);
        cases.push(case.words(["--config".into(), file.into_os_string()]));
    }
    cases
}
