//! bpftrace scripts.

/// The line by which a peer says that all is attached.
pub const READY: &str = "all-attached";

/// How a pair of probes is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Fentry,
    Kprobe,
}

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// At the call and at the return.
    Nothing,
    NothingAtReturns,
    NothingAtCalls,
    /// Number of calls, their time and its histogram, as anybody would write it.
    Histogram,
}

pub fn of(functions: &[(&str, How)], does: Does) -> String {
    // Attached last; it comes once a second of the guest's time, seldom enough.
    let ready = format!("interval:s:1 {{ printf(\"{READY}\\n\"); }}");
    let pairs = functions
        .iter()
        .enumerate()
        .map(|(number, (function, how))| pair(function, *how, does, number));
    pairs.chain([ready]).collect::<Vec<_>>().join("\n")
}

fn pair(function: &str, how: How, does: Does, n: usize) -> String {
    let (call, back) = match how {
        How::Fentry => (format!("kfunc:{function}"), format!("kretfunc:{function}")),
        How::Kprobe => (
            format!("kprobe:{function}"),
            format!("kretprobe:{function}"),
        ),
    };
    match does {
        Does::Nothing => format!("{call} {{ }}\n{back} {{ }}"),
        Does::NothingAtReturns => format!("{back} {{ }}"),
        Does::NothingAtCalls => format!("{call} {{ }}"),
        Does::Histogram => format!(
            "{call} {{ @begun{n}[tid] = nsecs; }}\n\
             {back} /@begun{n}[tid]/ {{ $took = nsecs - @begun{n}[tid]; @hist{n} = hist($took); \
             @sum{n} = sum($took); @calls{n} = count(); delete(@begun{n}[tid]); }}"
        ),
    }
}

/// Calls that it counted, from what it prints at its end: `@calls0: 10100`.
pub fn counted(said: &str) -> u64 {
    let lines = said.lines().filter_map(|line| line.strip_prefix("@calls"));
    lines
        .filter_map(|line| line.split(": ").nth(1)?.trim().parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_has_its_own_maps_and_the_last_probe_tells() {
        let script = of(&[("a", How::Fentry), ("b", How::Kprobe)], Does::Histogram);
        for part in [
            "kfunc:a {",
            "kretfunc:a /@begun0[tid]/",
            "kprobe:b {",
            "@calls1 = count()",
        ] {
            assert!(script.contains(part), "{script}");
        }
        assert!(
            script
                .trim_end()
                .ends_with("printf(\"all-attached\\n\"); }"),
            "{script}"
        );
        assert_eq!(
            of(&[("a", How::Kprobe)], Does::NothingAtReturns)
                .lines()
                .next(),
            Some("kretprobe:a { }")
        );
    }

    #[test]
    fn counts_are_those_of_calls() {
        assert_eq!(
            counted("Attaching 3 probes...\n@begun0: 4\n@calls0: 100\n@calls1: 20\n@sum0: 5\n"),
            120
        );
    }
}
