//! The agent under proof, as a process: started, scraped, stopped.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::host::Means;
use super::scrape::Scrape;

const PROGRAM: &str = "daxscope";
const LISTENING: &str = "listening on ";

/// Attaching some thirty probes takes seconds on an emulated CPU.
const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_secs(30);

pub struct Agent {
    child: Child,
    /// What it writes to standard error; the console gets a copy.
    said: Receiver<String>,
    pub address: SocketAddr,
}

impl Agent {
    /// Start `daxscope run` and wait until it says that all probes are attached.
    pub fn start(options: &[&str], address: SocketAddr) -> Result<Agent> {
        Agent::start_with(Means::All, options, address)
    }

    /// As [`Agent::start`], with less.
    pub fn start_with(means: Means, options: &[&str], address: SocketAddr) -> Result<Agent> {
        let mut agent = Agent::spawn(means, options, address)?;
        let mut last_words = String::new();
        let deadline = Instant::now() + START_LIMIT;
        loop {
            match agent
                .said
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) if line.contains(LISTENING) => return Ok(agent),
                Ok(line) => last_words = line,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{PROGRAM} run was not listening after {START_LIMIT:?}")
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!(
                        "{PROGRAM} run ended before it listened ({}): {last_words}",
                        agent.wait()?
                    )
                }
            }
        }
    }

    pub fn spawn(means: Means, options: &[&str], address: SocketAddr) -> Result<Agent> {
        let mut command = Command::new(PROGRAM);
        means.limit(&mut command)?;
        let mut child = command
            .args(["run", "--listen", &address.to_string()])
            .args(options)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!("cannot start {PROGRAM}: it must be in the PATH of the guest")
            })?;
        let stderr = child.stderr.take().context("no standard error")?;
        let (sender, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                eprintln!("agent: {line}");
                // The receiver may be gone; the console still gets the rest.
                let _ = sender.send(line);
            }
        });
        Ok(Agent {
            child,
            said,
            address,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn scrape(&self) -> Result<Scrape> {
        Scrape::of(self.address)
    }

    pub fn signal(&self, signal: i32) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        // SAFETY: a signal to our own child, which has not been waited for.
        let rc = unsafe { libc::kill(pid, signal) };
        if rc != 0 {
            bail!(
                "cannot signal {PROGRAM}: {}",
                std::io::Error::last_os_error()
            );
        }
        Ok(())
    }

    /// Wait for the end; an agent that does not end is an error, and is killed when dropped.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + STOP_LIMIT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("{PROGRAM} still runs {STOP_LIMIT:?} after it should have ended")
    }

    /// Everything it has said and nobody has read yet.
    pub fn last_words(&self) -> String {
        let lines = std::iter::from_fn(|| self.said.recv_timeout(Duration::from_millis(200)).ok());
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Already gone in the good case; both fail then, and nothing is left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Run the agent to its end.
pub fn run(words: &[&str]) -> Result<Output> {
    run_with(Means::All, words)
}

pub fn run_with(means: Means, words: &[&str]) -> Result<Output> {
    let mut command = Command::new(PROGRAM);
    means.limit(&mut command)?;
    let output = command.args(words).stdin(Stdio::null()).output();
    output.with_context(|| format!("cannot run {PROGRAM} {}", words.join(" ")))
}
