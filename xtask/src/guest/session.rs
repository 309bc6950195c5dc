//! A session under proof, as a process: `trace`, `events` or `record`, started, and told to end.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

const PROGRAM: &str = "daxscope";
/// In the line that it says once all is attached.
const WATCHING: &str = "watching";

/// Attaching takes seconds on an emulated CPU, and several sessions attach at once.
const START_LIMIT: Duration = Duration::from_mins(2);
const STOP_LIMIT: Duration = Duration::from_mins(1);

pub struct Session {
    words: String,
    child: Child,
    said: Receiver<String>,
    /// All of its standard output.
    output: Option<JoinHandle<std::io::Result<Vec<u8>>>>,
}

impl Session {
    /// Starts it; it is not attached yet.
    pub fn spawn(words: &[&str]) -> Result<Session> {
        let mut child = Command::new(PROGRAM)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {PROGRAM}"))?;
        let words = words.join(" ");
        let stderr = child.stderr.take().context("no standard error")?;
        let mut stdout = child.stdout.take().context("no standard output")?;
        let (sender, said) = mpsc::channel();
        let name = words.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                eprintln!("{name}: {line}");
                // The receiver may be gone; the console still gets the rest.
                let _ = sender.send(line);
            }
        });
        let output = std::thread::spawn(move || {
            let mut all = Vec::new();
            stdout.read_to_end(&mut all).map(|_| all)
        });
        Ok(Session {
            words,
            child,
            said,
            output: Some(output),
        })
    }

    /// Several, all of them attached when this returns.
    pub fn start(each: &[Vec<&str>]) -> Result<Vec<Session>> {
        let sessions = each.iter().map(|words| Session::spawn(words));
        let mut sessions = sessions.collect::<Result<Vec<_>>>()?;
        sessions.iter_mut().try_for_each(Session::attached)?;
        Ok(sessions)
    }

    /// Waits until it watches.
    pub fn attached(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        let mut last = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.said.recv_timeout(left) {
                Ok(line) if line.contains(WATCHING) => return Ok(()),
                Ok(line) => last = line,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{}: not attached after {START_LIMIT:?}", self.words)
                }
                Err(RecvTimeoutError::Disconnected) => bail!("{}: ended: {last}", self.words),
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says a line to what it runs.
    pub fn tell(&mut self) -> Result<()> {
        let input = self.child.stdin.as_mut().context("no standard input")?;
        writeln!(input).and_then(|()| input.flush())?;
        Ok(())
    }

    /// Memory that it has resident, and the most that it had; KiB.
    pub fn memory(&self) -> Result<[u64; 2]> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let of = |name: &str| -> Result<u64> {
            let mut lines = status.lines();
            let line = lines.find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            Ok(number.with_context(|| format!("no {name}"))?.parse()?)
        };
        Ok([of("VmRSS:")?, of("VmHWM:")?])
    }

    /// Tells it to end, and returns what it printed.
    pub fn end(mut self) -> Result<String> {
        self.signal(libc::SIGINT)?;
        self.result(&[0])
    }

    /// As [`Session::end`], where it may say that it lost something: what, is in its table.
    pub fn end_in_part(mut self) -> Result<String> {
        self.signal(libc::SIGINT)?;
        self.result(&[0, 3])
    }

    /// Waits for its end, by one of these exit codes, and returns what it printed.
    pub fn result(&mut self, codes: &[i32]) -> Result<String> {
        let deadline = Instant::now() + STOP_LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(Instant::now() < deadline, "{}: does not end", self.words);
            std::thread::sleep(Duration::from_millis(20));
        };
        let good = status.code().is_some_and(|code| codes.contains(&code));
        ensure!(good, "{}: ended with {status}", self.words);
        let output = self.output.take().context("its output was read already")?;
        let output = output
            .join()
            .map_err(|_| anyhow!("its reader panicked"))??;
        String::from_utf8(output).with_context(|| format!("{}: no UTF-8", self.words))
    }

    pub fn signal(&self, signal: i32) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        // SAFETY: a signal to our own child, which has not been waited for.
        let rc = unsafe { libc::kill(pid, signal) };
        let error = std::io::Error::last_os_error();
        ensure!(rc == 0, "{}: cannot be signalled: {error}", self.words);
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Already gone in the good case; both fail then, and nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
