//! The service as its users see it: what it measures, and what systemd does with it.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{LISTEN, host};
use crate::guest::oracle::FollPin;
use crate::guest::pin::{self, By, Memory, Plan};
use crate::guest::report::Figures;
use crate::guest::scrape::{Delta, Scrape};

/// Ready, or not for a reason that names a remedy: kprobes need more than two capabilities where `perf_event_paranoid` is 3.
pub fn probes(figures: &mut Figures) -> Result<()> {
    let told = host::readyz()?;
    let probes = told["probes"].as_array().context("no verdicts")?;
    let missing: Vec<_> = probes
        .iter()
        .filter(|probe| probe["required"] == true && probe["attached"] == false)
        .collect();
    figures.note(format!("{} required probes are missing", missing.len()));
    figures.equal("ready", missing.is_empty(), told["ready"] == true);
    for probe in missing {
        let words = probe.to_string();
        figures.holds(
            &format!("it names a remedy: {words}"),
            words.contains("CAP_SYS_ADMIN") || words.contains("perf_event_paranoid"),
        );
    }
    let reasons = host::strings(&told["reasons"]);
    figures.equal(
        "reasons if not ready",
        told["ready"] == false,
        !reasons.is_empty(),
    );
    figures.equal(
        "self-test",
        1,
        Scrape::of(LISTEN)?.total("daxscope_self_test_success", &[]),
    );
    Ok(())
}

/// A region that comes is named and measured, by a process that is not root.
pub fn region(figures: &mut Figures) -> Result<()> {
    let words =
        "create-namespace --force --reconfig namespace0.0 --mode devdax --align 2M --map mem";
    let command: Vec<&str> = ["ndctl"].into_iter().chain(words.split(' ')).collect();
    host::run(&command)?;
    let find = || {
        let scrape = Scrape::of(LISTEN)?;
        let of = [
            ("device", "dax0.0"),
            ("backing", "ram"),
            ("method", "measured"),
        ];
        let ram = scrape.value("daxscope_pagemap_vmemmap_bytes", &of);
        Ok((ram.context("dax0.0 is not measured")?, scrape))
    };
    let (ram, scrape) = host::until("the new region", find)?;
    let geometry = |name: &str| scrape.total("daxscope_pagemaps", &[("geometry", name)]);
    let struct_pages = scrape.total("daxscope_pagemap_struct_pages", &[("device", "dax0.0")]);
    figures.equal("pagemaps of 4K and 2M", 1, geometry("4K") + geometry("2M"));
    figures.equal("struct pages of 1 GiB", 262_144, struct_pages);
    let formula = [
        ("device", "dax0.0"),
        ("backing", "ram"),
        ("method", "formula"),
    ];
    let formula = scrape.value("daxscope_pagemap_vmemmap_bytes", &formula);
    figures.equal(
        "bytes of RAM, by formula and measured",
        formula.unwrap_or(-1.0),
        ram,
    );
    Ok(())
}

/// The region of before is known by its name, which takes `resource`.
pub fn named(figures: &mut Figures) -> Result<()> {
    let struct_pages = || {
        let scrape = Scrape::of(LISTEN)?;
        let pages = scrape.value("daxscope_pagemap_struct_pages", &[("device", "dax0.0")]);
        pages.context("dax0.0 is not named")
    };
    let observed = host::until("dax0.0", struct_pages)?;
    figures.equal("struct pages of dax0.0", 262_144.0, observed);
    Ok(())
}

/// Pins of `io_uring`: their functions are attached by fentry on every kernel.
fn pins<T>(observe: impl Fn() -> Result<T>) -> Result<(pin::Done, T, T)> {
    let memory = Memory::anonymous(512)?;
    // One thread: a program that runs is never entered anew on its CPU, so that none is left out.
    let plan = Plan::of_pages(By::IoUring, 51_200, 512, 1);
    pin::run(&[plan], &memory, observe)
}

pub fn counts(figures: &mut Figures) -> Result<()> {
    let (done, before, after) = pins(|| Ok((FollPin::read()?, Scrape::of(LISTEN)?)))?;
    let change = Delta {
        before: &before.1,
        after: &after.1,
    };
    let pins = [("how", "pin")];
    figures.equal(
        "calls",
        done.calls,
        change.of("daxscope_gup_calls_total", &pins),
    );
    figures.equal(
        "pages",
        done.pages,
        change.of("daxscope_gup_pages_total", &pins),
    );
    figures.equal(
        "pages by the kernel's own count",
        done.pages,
        after.0.since(before.0).acquired,
    );
    figures.equal("lost", 0, change.of("daxscope_lost_total", &[]));
    Ok(())
}

/// A second one, started by hand as root, takes nothing from the service.
pub fn two(figures: &mut Figures) -> Result<()> {
    let second = std::net::SocketAddr::new(LISTEN.ip(), LISTEN.port() + 1);
    let listen = second.to_string();
    host::run(&[
        "systemd-run",
        "--quiet",
        "--unit=second",
        "--service-type=notify",
        "daxscope",
        "run",
        "--listen",
        &listen,
    ])?;
    let (done, before, after) = pins(|| Ok([Scrape::of(LISTEN)?, Scrape::of(second)?]))?;
    for (name, before, after) in [
        ("service", &before[0], &after[0]),
        ("second", &before[1], &after[1]),
    ] {
        let change = Delta { before, after };
        let lost = change.of("daxscope_lost_total", &[]);
        let pages = change.of("daxscope_gup_pages_total", &[("how", "pin")]);
        figures.equal(&format!("{name}: pages, {lost} lost"), done.pages, pages);
    }
    host::run(&["systemctl", "stop", "second"]).map(drop)
}

/// The process stays, and so does what it counted.
pub fn reload(figures: &mut Figures) -> Result<()> {
    const FILE: &str = "/etc/daxscope/daxscope.toml.d/checks.toml";
    let (pid, before) = (host::pid()?, Scrape::of(LISTEN)?);
    host::write(Path::new(FILE), "max-connections = 77\n")?;
    host::systemctl("reload")?;
    let words = format!("in force: max-connections: 128 -> 77 ({FILE}:1)");
    host::until("a configuration that was read again", || {
        ensure!(host::said().contains(&words), "nobody said {words:?}");
        Ok(())
    })?;
    figures.note(words);
    std::fs::remove_file(FILE)?;
    host::systemctl("reload")?;
    let after = host::until("a scrape after the reload", || Scrape::of(LISTEN))?;
    figures.equal("process", pid, host::pid()?);
    let calls = |scrape: &Scrape| scrape.total("daxscope_gup_calls_total", &[("how", "pin")]);
    figures.equal("calls counted", calls(&before), calls(&after));
    figures.equal("state", "active".to_owned(), host::property("ActiveState")?);
    Ok(())
}

/// With the drop-in of the package all that is required is attached, on every kernel; and dropped again.
pub fn kprobes(figures: &mut Figures) -> Result<()> {
    super::scraped::clean()?;
    host::drop_in("kprobes.conf", &host::example("kprobes.conf")?)?;
    // For the next check.
    host::drop_in("watchdog.conf", "[Service]\nWatchdogSec=10\n")?;
    host::systemctl("restart")?;
    let told = host::readyz()?;
    figures.equal(
        "reasons not to be ready",
        String::new(),
        host::strings(&told["reasons"]).join("; "),
    );
    super::confined::with_kprobes(figures)
}

/// A process that hangs is replaced.
pub fn watchdog(figures: &mut Figures) -> Result<()> {
    let pid = host::pid()?;
    let restarts: u32 = host::property("NRestarts")?.parse()?;
    // SAFETY: no pointers; the process is the service's.
    let rc = unsafe { libc::kill(i32::try_from(pid)?, libc::SIGSTOP) };
    ensure!(rc == 0, std::io::Error::last_os_error());
    let again = host::until("another process", || {
        let now = host::pid()?;
        ensure!(
            now != pid && host::property("ActiveState")? == "active",
            "still {pid}"
        );
        Ok(now)
    })?;
    figures.note(format!("process {pid} became {again}"));
    figures.equal(
        "restarts",
        restarts + 1,
        host::property("NRestarts")?.parse()?,
    );
    Ok(())
}
