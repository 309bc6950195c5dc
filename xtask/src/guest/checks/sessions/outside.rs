//! How a session ends that is not let end, and what one is told that may not begin.

use std::fs;

use anyhow::Result;

use crate::guest::agent;
use crate::guest::checks::stop::Leftovers;
use crate::guest::host::Means;
use crate::guest::report::Figures;
use crate::guest::session::Session;

const RECORD: &str = "/tmp/never.daxscope";
const MARK: &str = "/tmp/never-run";

/// By SIGKILL, with nothing left in the kernel.
pub fn killed(figures: &mut Figures) -> Result<()> {
    let before = Leftovers::read();
    let trace = vec!["trace", "--by", "comm,ustack"];
    let record = vec!["record", "-o", RECORD];
    for session in Session::start(&[trace, vec!["events"], record])? {
        let loaded = Leftovers::read().programs > before.programs;
        figures.holds("programs are loaded while it runs", loaded);
        session.signal(libc::SIGKILL)?;
        drop(session);
    }
    figures.equal("left behind", before.clone(), before.settle());
    figures.holds("no recording", fs::metadata(RECORD).is_err());
    let _ = fs::remove_file(format!("{RECORD}.partial"));
    Ok(())
}

/// One sentence, before anything else happens.
pub fn unprivileged(figures: &mut Figures) -> Result<()> {
    let verbs: [&[&str]; 5] = [
        &["trace"],
        &["trace", "--", "touch", MARK],
        &["events", "--json"],
        &["record", "-o", RECORD],
        &["bench", "dax0.0"],
    ];
    for words in verbs {
        let output = agent::run_with(Means::Nothing, words)?;
        let said = String::from_utf8_lossy(&output.stderr);
        let verb = words.join(" ");
        figures.equal(
            &format!("{verb}: exit code"),
            1,
            output.status.code().unwrap_or(-1),
        );
        figures.equal(&format!("{verb}: lines, {said}"), 1, said.lines().count());
        figures.equal_quietly(&format!("{verb}: bytes of output"), 0, output.stdout.len());
        for word in ["cap_bpf", "cap_perfmon", "sudo", "setcap"] {
            let named = said.to_lowercase().contains(word);
            figures.holds_quietly(&format!("{verb} names {word}: {said}"), named);
        }
    }
    for path in [RECORD, MARK] {
        figures.holds(&format!("there is no {path}"), fs::metadata(path).is_err());
    }
    Ok(())
}
