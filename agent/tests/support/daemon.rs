//! A daemon that is told something, and what it says to that.

use std::{
    ffi::OsString,
    fs,
    io::Read as _,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use daxscope::config::keys::Key;

/// What is not over by then is stuck.
const STUCK: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Said {
    /// `None`: it was ended by us or by a signal.
    pub status: Option<i32>,
    pub out: String,
    pub error: String,
}

/// Runs it, with no other variables.
#[allow(dead_code, reason = "not every test needs it")]
pub fn daxscope(words: &[&str], variables: &[(&str, &str)]) -> Said {
    let words: Vec<OsString> = words.iter().map(Into::into).collect();
    let variables = variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    run(&words, &variables.collect::<Vec<_>>())
}

/// As [`daxscope`], of words that need not be UTF-8.
pub fn run(words: &[OsString], variables: &[(OsString, OsString)]) -> Said {
    let mut child = Command::new(env!("CARGO_BIN_EXE_daxscope"))
        .args(words)
        .env_clear()
        .envs(variables.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("daxscope starts");
    let mut out = child.stdout.take().expect("a pipe");
    let out = thread::spawn(move || {
        let mut text = vec![];
        out.read_to_end(&mut text).map(|_| text)
    });
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            break status;
        }
        if begun.elapsed() > STUCK {
            child.kill().expect("it can be ended");
        }
        thread::sleep(Duration::from_millis(1));
    };
    let mut error = vec![];
    let mut pipe = child.stderr.take().expect("a pipe");
    pipe.read_to_end(&mut error).expect("it can be read");
    let out = out.join().expect("a reader").expect("it can be read");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Said {
        status: status.code().filter(|_| status.signal().is_none()),
        out: text(out),
        error: text(error),
    }
}

/// A folder of one test, empty at first.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("config")
            .join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The first as `daxscope.toml`, the others as its drop-ins, and no others.
    pub fn configuration(&self, files: &[impl AsRef<[u8]>]) -> PathBuf {
        let file = self.0.join("daxscope.toml");
        let beside = self.0.join("daxscope.toml.d");
        let _ = fs::remove_dir_all(&beside);
        let (first, others) = files
            .split_first()
            .map_or((&[][..], &[][..]), |(first, others)| {
                (first.as_ref(), others)
            });
        fs::write(&file, first).expect("writes a file");
        for (n, text) in others.iter().enumerate() {
            fs::create_dir_all(&beside).expect("a folder");
            fs::write(beside.join(format!("{}0.toml", n + 1)), text).expect("writes a file");
        }
        file
    }
}

/// A value that is not the default: in a file, and as a word.
pub fn good(key: &Key) -> (String, String) {
    let word = match key.name {
        "listen" => return ("[\"127.0.0.1:0\"]".into(), "127.0.0.1:0".into()),
        "socket-mode" => return ("0o600".into(), "600".into()),
        // A web configuration with nothing in it asks for nothing.
        "btf" | "web-config" => "/dev/null",
        "mechanism" => "kprobe",
        "header-timeout" => "2s",
        "connection-timeout" => "2min",
        "max-headers" | "max-connections" | "max-requests" => "16",
        "max-header-bytes" => "8192",
        "latency" | "drop" => "false",
        _ => "true",
    };
    let plain = word.parse::<u32>().is_ok() || ["true", "false"].contains(&word);
    let toml = if plain {
        word.to_owned()
    } else {
        format!("{word:?}")
    };
    (toml, word.to_owned())
}
