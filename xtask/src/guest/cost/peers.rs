//! Other tools that watch the same functions: from the host's root, in this guest.

use std::io::{BufRead, BufReader, PipeReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::events::Events;
use super::script::{self, Does, How};
use super::watch::Watch;

const HOST: &str = "/host";

/// A tool that watches; it is killed when this is dropped.
pub struct Peer {
    child: Child,
    /// Both of its streams.
    says: BufReader<PipeReader>,
    /// Calls that it says it saw, from all that it said.
    counted: Option<fn(&str) -> u64>,
    /// Removed after it has ended.
    _events: Option<Events>,
}

/// bpftrace on these functions. What it says of those that it refuses is in the error.
pub fn bpftrace(functions: &[(&str, How)], does: Does) -> Result<Peer> {
    let mut words = vec!["bpftrace", "-B", "line", "-e"];
    let script = script::of(functions, does);
    words.push(&script);
    let counts = does == Does::Histogram;
    let counted = counts.then_some(script::counted as fn(&str) -> u64);
    Peer::start(&words, script::READY, counted, None)
}

/// funclatency of libbpf-tools on one function.
pub fn funclatency(function: &str) -> Result<Peer> {
    let counted = |said: &str| {
        let rows = said.lines().filter(|line| line.contains("->"));
        let counts = rows.filter_map(|row| {
            row.split(':')
                .nth(1)?
                .split_whitespace()
                .next()?
                .parse::<u64>()
                .ok()
        });
        counts.sum::<u64>()
    };
    Peer::start(&["funclatency", function], "Tracing", Some(counted), None)
}

/// perf counts calls and returns of these functions, by kprobe events.
pub fn perf(functions: &[&str]) -> Result<Peer> {
    let events = Events::of_pairs(functions)?;
    // perf does not say when it counts; it starts the command when it does.
    let workload = format!("echo {}; exec sleep 1000000", script::READY);
    let words = [
        "perf",
        "stat",
        "-x,",
        "-a",
        "-e",
        &events.all(),
        "--",
        "sh",
        "-c",
        &workload,
    ];
    let counted = |said: &str| {
        let calls = said
            .lines()
            .filter(|line| line.contains(super::events::CALL));
        let counts = calls.filter_map(|line| line.split(',').next()?.parse::<u64>().ok());
        counts.sum::<u64>()
    };
    Peer::start(&words, script::READY, Some(counted), Some(events))
}

impl Peer {
    fn start(
        words: &[&str],
        ready: &str,
        counted: Option<fn(&str) -> u64>,
        events: Option<Events>,
    ) -> Result<Peer> {
        let tool = words[0];
        let places = ["/usr/bin", "/usr/sbin"].map(|dir| Path::new(dir).join(tool));
        let inside = |place: &&PathBuf| Path::new(&format!("{HOST}{}", place.display())).exists();
        let Some(program) = places.iter().find(inside) else {
            bail!("no {tool} on the machine that the guest runs on");
        };
        let (says, into) = std::io::pipe().context("cannot make a pipe")?;
        let child = Command::new("chroot")
            .arg(HOST)
            // Some say that they are ready into a pipe only when that is full.
            .args(["/usr/bin/stdbuf", "-oL"])
            .arg(program)
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(into.try_clone()?)
            .stderr(into)
            // perf passes no signal on to the command that it runs: it goes to all of them.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {tool}"))?;
        let mut peer = Peer {
            child,
            says: BufReader::new(says),
            counted,
            _events: events,
        };
        peer.wait_for(tool, ready)?;
        Ok(peer)
    }

    /// No limit in time: while the guest waits for the host's files its clock runs ahead.
    fn wait_for(&mut self, tool: &str, ready: &str) -> Result<()> {
        let mut last = String::new();
        loop {
            let mut line = String::new();
            if self
                .says
                .read_line(&mut line)
                .context("cannot read what it says")?
                == 0
            {
                bail!("{tool} ended with {}: {}", self.child.wait()?, last.trim());
            }
            if line.contains(ready) {
                return Ok(());
            }
            if !line.trim().is_empty() {
                last = line;
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: i32) -> Result<()> {
        let group = -i32::try_from(self.child.id())?;
        // SAFETY: a signal to the process group of our own child, which has not been waited for.
        let rc = unsafe { libc::kill(group, signal) };
        ensure!(
            rc == 0,
            "cannot signal it: {}",
            std::io::Error::last_os_error()
        );
        Ok(())
    }
}

impl Watch for Peer {
    fn stop(mut self: Box<Self>) -> Result<Option<u64>> {
        self.signal(libc::SIGINT)?;
        let mut said = String::new();
        std::io::Read::read_to_string(&mut self.says, &mut said)
            .context("cannot read what it says")?;
        self.child.wait()?;
        Ok(self.counted.map(|counted| counted(&said)))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Already gone in the good case.
        let _ = self.signal(libc::SIGKILL);
        let _ = self.child.wait();
    }
}
