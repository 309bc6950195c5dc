//! Who called a function, in the kernel's own words: the stack that its tracer prints behind each hit of a kprobe of ours.

use anyhow::{Context, Result, ensure};

use super::instance::Instance;
use super::traceable;

/// Recording from now on.
pub struct Stacks(Instance);

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
        let mut instance = Instance::create("truth_stacks")?;
        for symbol in symbols {
            if traceable.contains(symbol) {
                instance.probe(symbol, symbol)?;
            }
        }
        instance.write("options/stacktrace", "1")?;
        instance.write("options/sym-offset", "0")?;
        instance.record()?;
        Ok(Stacks(instance))
    }

    /// All calls so far.
    pub fn read(&self) -> Result<Vec<Taken>> {
        taken(&self.0.trace()?)
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
