//! A recording that is not whole is refused, wherever it was cut, and one of something else too.

use std::fs;

use anyhow::{Context, Result};

use super::workload::Ground;
use crate::guest::agent;
use crate::guest::report::Figures;
use crate::guest::session::Session;
use crate::guest::work::Order;

const FILE: &str = "/tmp/whole.daxscope";
const CUT: &str = "/tmp/cut.daxscope";
/// A short session is little more than one KiB.
const STEP: usize = 128;

pub fn all(figures: &mut Figures, ground: &Ground) -> Result<()> {
    let _ = fs::remove_file(FILE);
    let mut crew = ground.crew()?;
    let words = ["record", "-o", FILE, "--by", "comm,pid,geometry,kstack"];
    let sessions = Session::start(&[words.to_vec()])?;
    crew.work(Order::InTurn)?;
    for session in sessions {
        session.end()?;
    }
    let whole = fs::read(FILE).with_context(|| format!("cannot read {FILE}"))?;
    let output = agent::run(&["report", FILE, "--json"])?;
    figures.equal("whole: exit code", 0, output.status.code().unwrap_or(-1));
    let mut refused = 0;
    let ends = (0..whole.len()).step_by(STEP).chain([whole.len() - 1]);
    for end in ends.clone() {
        refused += u64::from(refuses(figures, &format!("cut at {end}"), &whole[..end])?);
    }
    figures.equal(
        &format!("refused, of {} bytes", whole.len()),
        ends.count() as u64,
        refused,
    );
    let mut longer = whole.clone();
    longer.extend_from_slice(b"more");
    for (what, bytes) in [
        ("more behind the end", longer),
        ("something else", b"\x7fELF and so on".to_vec()),
    ] {
        let refused = refuses(figures, what, &bytes)?;
        figures.holds(&format!("{what} is refused"), refused);
    }
    fs::remove_file(FILE)?;
    fs::remove_file(CUT)?;
    Ok(())
}

/// By an error that names the file, with nothing of it shown.
fn refuses(figures: &mut Figures, what: &str, bytes: &[u8]) -> Result<bool> {
    fs::write(CUT, bytes).with_context(|| format!("cannot write {CUT}"))?;
    let output = agent::run(&["report", CUT, "--json"])?;
    let said = String::from_utf8_lossy(&output.stderr);
    let good = output.status.code() == Some(1)
        && output.stdout.is_empty()
        && said.contains(CUT)
        && !said.contains("panicked");
    figures.holds_quietly(&format!("{what}: {}, {said}", output.status), good);
    Ok(good)
}
