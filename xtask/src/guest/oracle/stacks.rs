//! Who called a function, in the kernel's own words: the stack that its tracer prints behind each hit of a kprobe of ours.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{TRACEFS, traceable, write_tracefs};

const GROUP: &str = "truth_stacks";

/// Recording from now on, in a tracing instance of its own.
pub struct Stacks {
    instance: PathBuf,
    symbols: Vec<String>,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The thread.
    pub pid: u32,
    /// The function that was called, and who called it, the innermost first.
    pub functions: Vec<String>,
}

impl Stacks {
    /// Of those of these functions that this kernel lets one probe.
    pub fn watch<'a>(symbols: impl IntoIterator<Item = &'a str>) -> Result<Stacks> {
        let traceable = traceable()?;
        let instance = Path::new(TRACEFS).join("instances").join(GROUP);
        fs::create_dir(&instance)
            .with_context(|| format!("cannot create {}", instance.display()))?;
        let mut stacks = Stacks {
            instance,
            symbols: Vec::new(),
        };
        for symbol in symbols
            .into_iter()
            .filter(|symbol| traceable.contains(*symbol))
        {
            write_tracefs("kprobe_events", &format!("p:{GROUP}/{symbol} {symbol}"))?;
            stacks.symbols.push(symbol.to_owned());
        }
        stacks.write("options/stacktrace", "1")?;
        stacks.write("options/sym-offset", "0")?;
        stacks.write(&format!("events/{GROUP}/enable"), "1")?;
        Ok(stacks)
    }

    /// All calls so far.
    pub fn read(&self) -> Result<Vec<Taken>> {
        let path = self.instance.join("trace");
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        // Names of threads may be of any bytes.
        taken(&String::from_utf8_lossy(&text))
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.instance.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Drop for Stacks {
    fn drop(&mut self) {
        let removed = self
            .write(&format!("events/{GROUP}/enable"), "0")
            .and_then(|()| Ok(fs::remove_dir(&self.instance)?))
            .and_then(|()| {
                let mut symbols = self.symbols.iter();
                symbols.try_for_each(|symbol| {
                    write_tracefs("kprobe_events", &format!("-:{GROUP}/{symbol}"))
                })
            });
        if let Err(error) = removed {
            eprintln!("the oracle's kprobes stay behind: {error:#}");
        }
    }
}

/// A hit is a line, and the functions follow on lines with an arrow.
fn taken(trace: &str) -> Result<Vec<Taken>> {
    ensure!(
        !trace.contains("[LOST"),
        "the trace has no room for all stacks"
    );
    let mut all: Vec<Taken> = Vec::new();
    for line in trace.lines() {
        if let Some(function) = line.trim_start().strip_prefix("=> ") {
            let last = all.last_mut().context("a stack without a hit")?;
            last.functions.push(function.trim().to_owned());
        } else if line.contains("<stack trace>") {
            let pid = pid(line).with_context(|| format!("no thread in {line:?}"))?;
            let functions = Vec::new();
            all.push(Taken { pid, functions });
        }
    }
    Ok(all)
}

/// The number in `NAME-NUMBER [CPU]`, of which the name is anything.
fn pid(line: &str) -> Option<u32> {
    let (before, _) = line.rsplit_once(" [")?;
    let (_, pid) = before.trim_end().rsplit_once('-')?;
    pid.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_belongs_to_the_hit_before_it() {
        let trace = "# tracer: nop\n\
            a-b [x] y-12      [001] ..... 3.1: f: (f+0x0/0x10)\n\
            a-b [x] y-12      [001] ..... 3.2: <stack trace>\n => f\n => g\n => h\n\
            ring-7      [000] ..... 3.3: <stack trace>\n => f\n";
        let of = |pid, functions: &[&str]| Taken {
            pid,
            functions: functions.iter().map(|f| (*f).to_owned()).collect(),
        };
        let all = taken(trace).unwrap();
        assert_eq!(all, [of(12, &["f", "g", "h"]), of(7, &["f"])]);
        assert!(taken("CPU:1 [LOST 3 EVENTS]\n").is_err());
    }
}
