//! What systemd and its kin see: the start told, the watchdog fed, sockets handed over, the end told.

use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::super::LISTEN;
use crate::guest::agent::Agent;
use crate::guest::http;
use crate::guest::report::Figures;

const SOCKET: &str = "/tmp/daxscope-notify";
/// Attaching takes seconds on an emulated CPU.
const START_LIMIT: Duration = Duration::from_mins(1);

/// What was told, by lines.
struct Told(UnixDatagram);

impl Told {
    fn bind() -> Result<Self> {
        let _ = std::fs::remove_file(SOCKET);
        let socket = UnixDatagram::bind(SOCKET).context("cannot bind the notify socket")?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        Ok(Self(socket))
    }

    /// Waits for a line; everything until then is passed over.
    fn until(&self, line: &str) -> Result<Vec<String>> {
        let end = Instant::now() + START_LIMIT;
        while Instant::now() < end {
            let mut buffer = [0; 4096];
            if let Ok(n) = self.0.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
                let lines: Vec<String> = text.lines().map(str::to_owned).collect();
                if lines.iter().any(|told| told == line) {
                    return Ok(lines);
                }
            }
        }
        bail!("nobody said {line:?} within {START_LIMIT:?}")
    }
}

/// Killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn signal(&self, signal: i32) -> Result<()> {
        let pid = i32::try_from(self.0.id())?;
        // SAFETY: a signal to our own child, which has not been waited for.
        let result = unsafe { libc::kill(pid, signal) };
        ensure!(result == 0, std::io::Error::last_os_error());
        Ok(())
    }
}

pub fn notifies(figures: &mut Figures) -> Result<()> {
    let told = Told::bind()?;
    let mut command = Command::new("daxscope");
    command
        .args(["run", "--listen", &LISTEN.to_string()])
        .env("NOTIFY_SOCKET", SOCKET)
        .env("WATCHDOG_USEC", "400000")
        .stdin(Stdio::null());
    let mut daemon = Process(command.spawn().context("cannot start daxscope")?);
    let lines = told.until("READY=1")?;
    figures.note(lines.join(" "));
    figures.equal(
        "/healthz once READY",
        "ok\n".to_owned(),
        http::get(LISTEN, "/healthz")?,
    );
    for _ in 0..3 {
        told.until("WATCHDOG=1")?;
    }
    figures.note("WATCHDOG=1 three times");
    daemon.signal(libc::SIGTERM)?;
    told.until("STOPPING=1")?;
    let status = daemon.0.wait()?.code();
    figures.equal("exit status", 0, status.unwrap_or(-1));
    Ok(())
}

/// As by a socket unit: the third descriptor is a socket that listens, and the address on the command line is not used.
pub fn handed_over(figures: &mut Figures) -> Result<()> {
    let told = Told::bind()?;
    let socket = TcpListener::bind((LISTEN.ip(), 0))?;
    let address = socket.local_addr()?;
    let mut command = Command::new("sh");
    command
        .args(["-c", "LISTEN_PID=$$ exec daxscope run"])
        .env("LISTEN_FDS", "1")
        .env("NOTIFY_SOCKET", SOCKET)
        .stdin(Stdio::null());
    let fd = socket.as_raw_fd();
    let as_third = move || {
        // SAFETY: both are numbers; the copy stays open over exec.
        if unsafe { libc::dup2(fd, 3) } == 3 {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error())
        }
    };
    // SAFETY: runs between fork and exec, and makes one system call.
    unsafe { command.pre_exec(as_third) };
    let daemon = Process(command.spawn().context("cannot start sh")?);
    told.until("READY=1")?;
    let health = http::get(address, "/healthz")?;
    figures.equal(
        "/healthz by the socket handed over",
        "ok\n".to_owned(),
        health,
    );
    let other = TcpListener::bind(LISTEN);
    figures.holds("its own address is not used", other.is_ok());
    drop(daemon);
    Ok(())
}

pub fn ready(figures: &mut Figures) -> Result<()> {
    let agent = Agent::start(&[], LISTEN)?;
    let text = http::get(LISTEN, "/readyz")?;
    let told: Value = serde_json::from_str(&text).context("/readyz is no JSON")?;
    figures.equal("ready", true, told["ready"] == true);
    let of = |list: &Value| list.as_array().map_or(usize::MAX, Vec::len);
    figures.equal("reasons", 0, of(&told["reasons"]));
    let scrape = agent.scrape()?;
    let attached = scrape.series("daxscope_probe_attached", &[]).count();
    figures.equal("verdicts", attached, of(&told["probes"]));
    for (name, of) in [
        ("daxscope_ready", "ready"),
        ("daxscope_self_test_success", "passed"),
    ] {
        figures.equal(of, 1.0, scrape.value(name, &[]).unwrap_or(-1.0));
    }
    agent.signal(libc::SIGHUP)?;
    let after = http::get(LISTEN, "/readyz")?;
    let after: Value = serde_json::from_str(&after)?;
    figures.equal("ready after SIGHUP", true, after["ready"] == true);
    Ok(())
}

/// A web configuration that lets everybody in, and one that wants a password of no known word.
const OPEN: &str = "{}\n";
const GUARDED: &str =
    "basic_auth_users:\n  somebody: $2b$04$pwoS2IFqz3JCyT7KnbRzHuTg1JLRW.6jXJ8b8h3X1yVVFT1cJG6gC\n";

/// What is confined can still read its configuration again, by the signal alone.
pub fn reload(figures: &mut Figures) -> Result<()> {
    const FOLDER: &str = "/tmp/daxscope-etc";
    std::fs::create_dir_all(FOLDER)?;
    let (main, web) = (
        format!("{FOLDER}/daxscope.toml"),
        format!("{FOLDER}/web.yml"),
    );
    let put = |path: &str, text: &str| -> Result<()> {
        let new = format!("{path}.new");
        std::fs::write(&new, text)?;
        std::fs::rename(&new, path).context("cannot replace a configuration")
    };
    put(&web, OPEN)?;
    put(&main, "max-connections = 7\n")?;
    let agent = Agent::start(&["--config", &main], LISTEN)?;
    http::get(LISTEN, "/metrics")?;
    put(&web, GUARDED)?;
    put(
        &main,
        "max-connections = 9\nweb-config = \"web.yml\"\nlatency = false\n",
    )?;
    agent.signal(libc::SIGHUP)?;
    let end = Instant::now() + START_LIMIT;
    let refused = loop {
        match http::get(LISTEN, "/metrics") {
            Err(error) => break format!("{error:#}"),
            Ok(_) if Instant::now() > end => break "never".to_owned(),
            Ok(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    figures.holds(&format!("then: {refused}"), refused.contains("401"));
    let said = agent.last_words();
    for words in [
        "in force: max-connections: 7 -> 9",
        "in force only after a restart: latency: true -> false",
    ] {
        figures.holds(words, said.contains(words));
    }
    Ok(())
}
