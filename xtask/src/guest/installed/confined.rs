//! `/proc/PID/status` of the agent, against what its unit or its container and the documents promise.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use super::{LISTEN, host};
use crate::guest::checks::others_read_maps;
use crate::guest::report::Figures;
use crate::guest::scrape::Scrape;

/// Bits of include/uapi/linux/capability.h.
const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYSLOG: u32 = 34;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

pub fn confined(figures: &mut Figures) -> Result<()> {
    package_user(figures)?;
    without_kprobes(figures)
}

/// Whoever it runs as.
pub fn without_kprobes(figures: &mut Figures) -> Result<()> {
    with(figures, host::pid()?, &[CAP_BPF, CAP_PERFMON])
}

/// With kprobes.conf.
pub fn with_kprobes(figures: &mut Figures) -> Result<()> {
    package_user(figures)?;
    with(
        figures,
        host::pid()?,
        &[CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN],
    )
}

/// A container's process, which is root by name alone.
pub fn container(figures: &mut Figures, pid: u32) -> Result<()> {
    figures.equal("user", 0, uid(pid)?);
    with(figures, pid, &[CAP_BPF, CAP_PERFMON, CAP_SYSLOG])
}

fn package_user(figures: &mut Figures) -> Result<()> {
    let user = host::run(&["id", "--user", "daxscope"])?.trim().parse()?;
    figures.equal("user", user, uid(host::pid()?)?);
    Ok(())
}

/// Whom a process runs as.
pub fn uid(pid: u32) -> Result<u32> {
    let status = status(pid)?;
    let real = status["Uid"].split('\t').next().unwrap_or_default();
    Ok(real.parse()?)
}

/// `given`: by who started it.
fn with(figures: &mut Figures, pid: u32, given: &[u32]) -> Result<()> {
    let status = status(pid)?;
    // Before 5.19 maps are not read without it.
    let left: u64 = if others_read_maps()? { 0 } else { 1 << CAP_BPF };
    for set in ["CapEff", "CapPrm"] {
        figures.equal(set, format!("{left:016x}"), status[set].clone());
    }
    // Only CAP_SETPCAP could lower it, which the service never has; no_new_privs keeps all from coming back by it.
    let bound: u64 = given.iter().map(|capability| 1u64 << capability).sum();
    figures.equal("CapBnd", format!("{bound:016x}"), status["CapBnd"].clone());
    for set in ["CapInh", "CapAmb"] {
        figures.equal(set, "0".repeat(16), status[set].clone());
    }
    figures.equal("NoNewPrivs", "1", status["NoNewPrivs"].as_str());
    figures.equal("Seccomp (2: a filter)", "2", status["Seccomp"].as_str());
    // Its own are two: clone3(2) is refused in another way than the rest.
    let filters: u32 = status["Seccomp_filters"].parse()?;
    figures.holds(&format!("{filters} filters, more than one"), filters > 1);
    let lsm = fs::read_to_string("/sys/kernel/security/lsm")?;
    let landlock = lsm.trim().split(',').any(|name| name == "landlock");
    let scrape = Scrape::of(LISTEN)?;
    for layer in ["capabilities", "no_new_privs", "landlock", "seccomp"] {
        let there = layer != "landlock" || landlock;
        let says = scrape.value("daxscope_confined", &[("layer", layer)]);
        figures.equal(layer, f64::from(u8::from(there)), says.unwrap_or(-1.0));
    }
    // How many calls it tried by itself and was refused.
    let layers = host::readyz()?["layers"].to_string();
    figures.note(layers);
    Ok(())
}

fn status(pid: u32) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("no such process")?;
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    Ok(text.lines().filter_map(field).collect())
}
