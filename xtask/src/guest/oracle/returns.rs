//! A kretprobe of our own beside the agent's, made as the agent's are: what it misses, any such probe misses.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{TRACEFS, write_tracefs};

const EVENT: &str = "truth_returns/seen";

pub struct Returns {
    profile: PathBuf,
}

/// Returns that it saw; all others of the function it missed for want of an instance. The kernel's own count of those
/// (`nmissed`) is not used: CPUs race for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub hits: u64,
}

impl Returns {
    pub fn of(symbol: &str) -> Result<Returns> {
        write_tracefs("kprobe_events", &format!("r:{EVENT} {symbol}"))?;
        let profile = Path::new(TRACEFS).join("kprobe_profile");
        let returns = Returns { profile };
        write_tracefs("events/truth_returns/enable", "1")?;
        Ok(returns)
    }

    pub fn read(&self) -> Result<Seen> {
        let path = &self.profile;
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["seen", hits, _] = words[..] {
                return Ok(Seen {
                    hits: hits.parse()?,
                });
            }
        }
        bail!(
            "{} has no line for the probe that was just made",
            path.display()
        )
    }
}

impl Drop for Returns {
    fn drop(&mut self) {
        let removed = write_tracefs("events/truth_returns/enable", "0")
            .and_then(|()| write_tracefs("kprobe_events", &format!("-:{EVENT}")));
        if let Err(error) = removed {
            eprintln!("the oracle's kretprobe stays behind: {error:#}");
        }
    }
}
