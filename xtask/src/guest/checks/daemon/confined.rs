//! `/proc/PID/status` against what the agent says of itself, and what this kernel has.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::super::LISTEN;
use crate::guest::agent::Agent;
use crate::guest::host::Means;
use crate::guest::report::Figures;

/// Bit of `CAP_BPF`, include/uapi/linux/capability.h.
const CAP_BPF: u32 = 39;
const LAYERS: [&str; 4] = ["capabilities", "no_new_privs", "landlock", "seccomp"];

pub fn confined(figures: &mut Figures) -> Result<()> {
    let agent = Agent::start(&[], LISTEN)?;
    let status = status(agent.pid())?;
    let left = if others_read_maps()? {
        0u64
    } else {
        1 << CAP_BPF
    };
    let left = format!("{left:016x}");
    for set in ["CapInh", "CapAmb"] {
        figures.equal(set, &"0".repeat(16), &status[set]);
    }
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        figures.equal(set, &left, &status[set]);
    }
    figures.equal("NoNewPrivs", "1", status["NoNewPrivs"].as_str());
    figures.equal("Seccomp (2: a filter)", "2", status["Seccomp"].as_str());
    let landlock = has_landlock()?;
    let scrape = agent.scrape()?;
    for layer in LAYERS {
        let there = layer != "landlock" || landlock;
        let says = scrape.value("daxscope_confined", &[("layer", layer)]);
        figures.equal(layer, f64::from(u8::from(there)), says.unwrap_or(-1.0));
    }
    Ok(())
}

pub fn kept(figures: &mut Figures) -> Result<()> {
    let agent = Agent::start(&["--no-drop"], LISTEN)?;
    let status = status(agent.pid())?;
    let own = status_of("self")?;
    figures.equal("CapEff", &own["CapEff"], &status["CapEff"]);
    figures.equal("Seccomp", "0", status["Seccomp"].as_str());
    let scrape = agent.scrape()?;
    for layer in LAYERS {
        let says = scrape.value("daxscope_confined", &[("layer", layer)]);
        figures.equal(layer, 0.0, says.unwrap_or(-1.0));
    }
    Ok(())
}

fn status(pid: u32) -> Result<BTreeMap<String, String>> {
    status_of(&pid.to_string())
}

fn status_of(pid: &str) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("no such process")?;
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    Ok(text.lines().filter_map(field).collect())
}

/// Whether this kernel lets those without capabilities use `bpf(2)` on what they have open: it then says that there is no such
/// file descriptor, and not that it is forbidden.
pub fn others_read_maps() -> Result<bool> {
    let mut probe = Command::new("xtask");
    probe.args(["guest", "try-bpf"]);
    Means::Nothing.limit(&mut probe)?;
    let output = probe.output().context("cannot start xtask")?;
    let errno: i32 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    Ok(errno == libc::EBADF)
}

/// `xtask guest try-bpf`: asks `bpf(2)` for an element of a map that is not open, and prints the errno.
pub fn try_bpf() -> Result<()> {
    const BPF_MAP_LOOKUP_ELEM: i64 = 1;
    let mut attributes = [0u64; 16];
    // In its first word the descriptor.
    attributes[0] = u64::from(u32::MAX);
    // SAFETY: the kernel reads the attributes, and no descriptor has this number.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_MAP_LOOKUP_ELEM,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    anyhow::ensure!(result == -1, "a map that is not open was read");
    println!(
        "{}",
        std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
    );
    Ok(())
}

/// Whether Landlock is among the security modules that are switched on.
fn has_landlock() -> Result<bool> {
    const LIST: &str = "/sys/kernel/security/lsm";
    let text = fs::read_to_string(LIST).with_context(|| format!("cannot read {LIST}"))?;
    Ok(text.trim().split(',').any(|name| name == "landlock"))
}
