//! How the agent ends, and that nothing of it stays in the kernel.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::guest::agent::{self, Agent};
use crate::guest::host::Means;
use crate::guest::objects;
use crate::guest::report::{Figures, Report};

/// Programs are freed after an RCU grace period, by a worker.
const SETTLE: Duration = Duration::from_secs(20);

/// What a tracing process could leave in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftovers {
    pub programs: usize,
    maps: usize,
    /// Lines of tracefs `kprobe_events`; probes made through perf never show there.
    kprobe_events: usize,
}

impl Leftovers {
    pub fn read() -> Leftovers {
        let events = fs::read_to_string("/sys/kernel/tracing/kprobe_events").unwrap_or_default();
        Leftovers {
            programs: objects::programs(),
            maps: objects::maps(),
            kprobe_events: events.lines().count(),
        }
    }

    /// Wait until the kernel is as it was, or until it clearly will not be.
    pub fn settle(&self) -> Leftovers {
        let deadline = Instant::now() + SETTLE;
        loop {
            let now = Leftovers::read();
            if now == *self || Instant::now() > deadline {
                return now;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl std::fmt::Display for Leftovers {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(
            out,
            "{} programs, {} maps, {} kprobe events",
            self.programs, self.maps, self.kprobe_events
        )
    }
}

/// How a stage's agent is ended, and the exit code that must follow; a killed process has none.
#[derive(Clone, Copy)]
pub enum Ending {
    Interrupt,
    Terminate,
    Kill,
}

impl Ending {
    fn parts(self) -> (&'static str, i32, Option<i32>) {
        match self {
            Ending::Interrupt => ("sigint", libc::SIGINT, Some(0)),
            Ending::Terminate => ("sigterm", libc::SIGTERM, Some(0)),
            Ending::Kill => ("sigkill", libc::SIGKILL, None),
        }
    }
}

pub fn ended(
    report: &mut Report,
    mechanism: &str,
    mut agent: Agent,
    before: &Leftovers,
    by: Ending,
) {
    let (name, signal, code) = by.parts();
    report.check(&format!("stop/{mechanism}-{name}"), |figures| {
        let loaded = Leftovers::read().programs > before.programs;
        figures.holds("programs are loaded while it runs", loaded);
        agent.signal(signal)?;
        let status = agent.wait()?;
        figures.equal(
            "exit code",
            format!("{code:?}"),
            format!("{:?}", status.code()),
        );
        figures.equal("left behind", before.clone(), before.settle());
        Ok(())
    });
}

/// Starts that must fail, with the exit code and the words that say why.
pub fn refusals(report: &mut Report, address: SocketAddr) {
    report.check("stop/port-taken", |figures| {
        let _taken = TcpListener::bind(address).context("the port is taken before the test")?;
        let mut agent = Agent::spawn(Means::All, &[], address)?;
        let status = agent.wait()?;
        figures.equal("exit code", 1, status.code().unwrap_or(-1));
        let words = agent.last_words();
        figures.holds(
            &format!("it names {address}: {words}"),
            words.contains(&address.to_string()),
        );
        Ok(())
    });
    report.check("stop/bad-flag", |figures| {
        bad_usage(figures, &["run", "--no-such-flag"])
    });
    report.check("stop/bad-value", |figures| {
        bad_usage(figures, &["run", "--mechanism", "magic"])
    });
    report.check("stop/bad-configuration", |figures| {
        let file = "/tmp/bad.toml";
        std::fs::create_dir_all("/tmp")
            .and_then(|()| std::fs::write(file, "max-connections = 0\n"))?;
        bad_usage(figures, &["run", "--config", file])
    });
}

fn bad_usage(figures: &mut Figures, words: &[&str]) -> Result<()> {
    let before = Leftovers::read();
    let output = agent::run(words)?;
    figures.equal("left behind", before.clone(), before.settle());
    figures.equal("exit code", 2, output.status.code().unwrap_or(-1));
    let told = String::from_utf8_lossy(&output.stderr);
    let culprit = words.last().copied().unwrap_or_default();
    figures.holds(
        &format!("standard error names {culprit}"),
        told.contains(culprit),
    );
    Ok(())
}
