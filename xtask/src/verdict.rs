//! What a guest proved. Its word alone is not enough: the lines must carry this run's nonce, be as many as the guest
//! counted, be followed by a clean end, and the kernel must not have complained meanwhile.

/// One line of a guest: `DAXSCOPE-CHECK <nonce> <pass|fail|skip> <group>/<name> <detail…>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub outcome: Outcome,
    pub group: String,
    pub name: String,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    Fail,
    Skip,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    Check(Check),
    /// Passed, failed, skipped, as the guest counted them.
    Result([usize; 3]),
    /// Anything else that the guest printed.
    Log(String),
}

impl Check {
    pub fn new(group: &str, name: &str, outcome: Outcome, detail: impl Into<String>) -> Self {
        Self {
            outcome,
            group: group.to_owned(),
            name: name.to_owned(),
            detail: detail.into(),
        }
    }
}

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Skip => "skip",
        }
    }
}

pub fn read_line(line: &str, nonce: &str) -> Line {
    parse(line, nonce).unwrap_or_else(|| Line::Log(line.to_owned()))
}

fn parse(line: &str, nonce: &str) -> Option<Line> {
    if let Some(rest) = line.strip_prefix("DAXSCOPE-CHECK ") {
        let mut words = rest.strip_prefix(nonce)?.strip_prefix(' ')?.splitn(3, ' ');
        let outcome = match words.next()? {
            "pass" => Outcome::Pass,
            "skip" => Outcome::Skip,
            // A word that is not known is no success.
            _ => Outcome::Fail,
        };
        let (group, name) = words.next()?.split_once('/')?;
        return Some(Line::Check(Check::new(
            group,
            name,
            outcome,
            words.next().unwrap_or_default(),
        )));
    }
    let counts = line
        .strip_prefix("DAXSCOPE-RESULT ")?
        .strip_prefix(nonce)?
        .strip_prefix(' ')?;
    let counts: Vec<usize> = counts
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    Some(Line::Result(counts.try_into().ok()?))
}

pub fn count(checks: &[Check]) -> [usize; 3] {
    [Outcome::Pass, Outcome::Fail, Outcome::Skip]
        .map(|which| checks.iter().filter(|check| check.outcome == which).count())
}

/// How a guest ended.
pub struct End {
    pub timed_out: bool,
    /// QEMU ended by itself with status 0. A panic does that too.
    pub qemu_ok: bool,
    /// The exit status of the guest's command, if it came to that.
    pub exit: Option<u8>,
    pub result: Option<[usize; 3]>,
}

/// Why the run proves nothing, whatever its checks say.
pub fn faults(end: &End, checks: &[Check], kernel_log: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if end.timed_out {
        faults.push("the guest did not end in time and was killed".to_owned());
    } else if !end.qemu_ok || end.exit.is_none() {
        faults.push("the guest did not power off cleanly".to_owned());
    }
    match end.result {
        None => faults.push("the guest printed no result".to_owned()),
        Some([0, 0, _]) => faults.push("the guest checked nothing".to_owned()),
        Some(result) if result != count(checks) => {
            faults.push(format!(
                "the guest counted {result:?} passed, failed, skipped, but {:?} came",
                count(checks)
            ));
        }
        Some([_, 0, _]) if end.exit.is_some_and(|exit| exit != 0) => {
            faults.push(format!(
                "no check failed, but the guest's command ended with {:?}",
                end.exit
            ));
        }
        Some(_) => {}
    }
    faults.extend(complaints(kernel_log));
    faults
}

/// What a kernel that is well does not say.
pub fn complaints(kernel_log: &str) -> Vec<String> {
    let lines = kernel_log.lines().filter(|line| is_complaint(line));
    lines
        .take(5)
        .map(|line| format!("the kernel said: {}", line.trim()))
        .collect()
}

fn is_complaint(line: &str) -> bool {
    const WORDS: [&str; 7] = [
        "Kernel panic",
        "BUG:",
        "WARNING:",
        "Oops",
        "soft lockup",
        "general protection fault",
        "blocked for more than",
    ];
    WORDS.iter().any(|word| line.contains(word))
        || (line.to_ascii_lowercase().contains("rcu") && line.contains("stall"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> (End, Vec<Check>) {
        let checks = vec![
            Check::new("gup", "calls", Outcome::Pass, ""),
            Check::new("gup", "x", Outcome::Skip, "why"),
        ];
        (
            End {
                timed_out: false,
                qemu_ok: true,
                exit: Some(0),
                result: Some([1, 0, 1]),
            },
            checks,
        )
    }

    #[test]
    fn lines_count_only_with_the_nonce() {
        let check = Check::new("gup", "calls/pin", Outcome::Pass, "5 of 5");
        assert_eq!(
            read_line("DAXSCOPE-CHECK abc pass gup/calls/pin 5 of 5", "abc"),
            Line::Check(check)
        );
        assert_eq!(
            read_line("DAXSCOPE-RESULT abc 3 0 1", "abc"),
            Line::Result([3, 0, 1])
        );
        for line in [
            "DAXSCOPE-CHECK abd pass gup/calls",
            "DAXSCOPE-RESULT abcd 3 0 1",
            "DAXSCOPE-RESULT abc 3 0",
            "x",
        ] {
            assert_eq!(read_line(line, "abc"), Line::Log(line.to_owned()));
        }
        let Line::Check(odd) = read_line("DAXSCOPE-CHECK abc PASS gup/calls", "abc") else {
            panic!("no check")
        };
        assert_eq!(odd.outcome, Outcome::Fail);
    }

    #[test]
    fn a_clean_run_has_no_faults() {
        let (end, checks) = good();
        assert_eq!(
            faults(&end, &checks, "[ 0.1] Linux version 6.1"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn each_fault_is_found() {
        let spoil: [fn(&mut End); 7] = [
            |end| end.timed_out = true,
            |end| end.qemu_ok = false,
            |end| end.exit = None,
            |end| end.exit = Some(1),
            |end| end.result = None,
            |end| end.result = Some([0, 0, 2]),
            |end| end.result = Some([2, 0, 1]),
        ];
        for (number, spoil) in spoil.iter().enumerate() {
            let (mut end, checks) = good();
            spoil(&mut end);
            assert!(!faults(&end, &checks, "").is_empty(), "fault {number}");
        }
        let (end, checks) = good();
        for line in [
            "[ 1.0] Kernel panic - not syncing",
            "[ 1.0] BUG: kernel NULL pointer dereference",
            "[ 1.0] WARNING: CPU: 0 PID: 1 at mm/gup.c:12",
            "[ 1.0] rcu: INFO: rcu_preempt self-detected stall on CPU",
            "[ 1.0] watchdog: BUG: soft lockup - CPU#0 stuck",
            "[ 1.0] Oops: 0000 [#1] SMP",
        ] {
            assert_eq!(faults(&end, &checks, line).len(), 1, "{line}");
        }
    }
}
