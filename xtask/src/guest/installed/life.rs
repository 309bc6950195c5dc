//! The package comes, is replaced, goes.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{LISTEN, host, scraped};
use crate::guest::objects;
use crate::guest::report::Figures;

/// What could be left of it: files, a user, objects in the kernel.
pub struct Traces {
    files: BTreeSet<String>,
    accounts: String,
    programs: usize,
}

/// Where files change with every command: dpkg's own account of what is installed, logs, caches.
const OTHERS: [&str; 4] = [
    "/var/lib/dpkg",
    "/var/log",
    "/var/cache",
    "/var/lib/prometheus",
];

impl Traces {
    pub fn read() -> Result<Self> {
        let list = host::run(&[
            "find",
            "/etc",
            "/usr",
            "/var",
            "/run/daxscope",
            "/run/systemd/system",
            "-xdev",
        ]);
        // The folder in /run is not there before.
        let list = list.or_else(|_| host::run(&["find", "/etc", "/usr", "/var", "-xdev"]))?;
        let ours = |path: &&str| !OTHERS.iter().any(|other| path.starts_with(other));
        Ok(Self {
            files: list.lines().filter(ours).map(str::to_owned).collect(),
            accounts: ["/etc/passwd", "/etc/group"]
                .map(|file| fs::read_to_string(file).unwrap_or_default())
                .concat(),
            programs: objects::programs(),
        })
    }
}

fn file_of(version: Version) -> Result<String> {
    let wanted = matches!(version, Version::Before);
    let entries = fs::read_dir("/packages").context("no packages: boot with --debian")?;
    for entry in entries {
        let name = entry?.path().display().to_string();
        if name.contains("~before") == wanted {
            return Ok(name);
        }
    }
    anyhow::bail!("/packages does not have the {version} version: `cargo xtask package` makes both")
}

#[derive(Clone, Copy)]
enum Version {
    Before,
    This,
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Self::Before => "older",
            Self::This => "current",
        })
    }
}

pub fn install(figures: &mut Figures) -> Result<()> {
    host::run(&["dpkg", "--install", &file_of(Version::Before)?])?;
    figures.equal("state", "active".to_owned(), host::property("ActiveState")?);
    figures.equal("restarts", "0".to_owned(), host::property("NRestarts")?);
    figures.equal(
        "enabled",
        "enabled".to_owned(),
        host::property("UnitFileState")?,
    );
    figures.note(host::property("StatusText")?);
    for (file, wanted) in [
        ("/etc/daxscope/daxscope.toml", "root:root 644"),
        ("/etc/daxscope/web.yml", "root:daxscope 640"),
        ("/run/daxscope", "daxscope:daxscope 755"),
    ] {
        let owner = host::run(&["stat", "--format=%U:%G %a", file])?;
        figures.equal(file, wanted, owner.trim());
    }
    figures.holds(
        "`config check` is content",
        host::run(&["daxscope", "config", "check"]).is_ok(),
    );
    for file in [
        "/usr/share/man/man1/daxscope-run.1.gz",
        "/usr/share/bash-completion/completions/daxscope",
    ] {
        figures.holds(file, Path::new(file).is_file());
    }
    Ok(())
}

/// Over a configuration that an administrator changed.
pub fn upgrade(figures: &mut Figures) -> Result<()> {
    scraped::configure()?;
    let changed = fs::read_to_string("/etc/daxscope/web.yml")?;
    let pid = host::pid()?;
    host::run(&["dpkg", "--install", &file_of(Version::This)?])?;
    let now = host::pid()?;
    figures.holds(&format!("process {pid} became {now}"), pid != now);
    figures.equal("state", "active".to_owned(), host::property("ActiveState")?);
    let kept = changed == fs::read_to_string("/etc/daxscope/web.yml")?;
    figures.holds("the configuration is kept", kept);
    let owner = host::run(&["stat", "--format=%U:%G %a", "/etc/daxscope/web.yml"])?;
    figures.equal("whose it is", "root:daxscope 640", owner.trim());
    let installed = host::run(&[
        "dpkg-query",
        "--show",
        "--showformat=${Version}",
        "daxscope",
    ])?;
    figures.holds(
        &format!("version {installed}"),
        !installed.contains("before"),
    );
    Ok(())
}

pub fn remove(figures: &mut Figures) -> Result<()> {
    host::run(&["systemctl", "start", host::UNIT])?;
    let pid = host::pid()?;
    host::run(&["dpkg", "--remove", "daxscope"])?;
    figures.holds(
        "its process has ended",
        !Path::new(&format!("/proc/{pid}")).exists(),
    );
    figures.holds("the port is closed", TcpStream::connect(LISTEN).is_err());
    figures.holds(
        "its program is gone",
        !Path::new("/usr/bin/daxscope").exists(),
    );
    figures.holds(
        "its configuration stays",
        Path::new("/etc/daxscope/daxscope.toml").exists(),
    );
    Ok(())
}

pub fn purge(figures: &mut Figures, before: &Traces) -> Result<()> {
    host::run(&["dpkg", "--purge", "daxscope"])?;
    host::run(&["systemctl", "daemon-reload"])?;
    let after = host::until("programs to be gone", || {
        let after = Traces::read()?;
        ensure!(
            after.programs <= before.programs,
            "{} programs are loaded",
            after.programs
        );
        Ok(after)
    })?;
    let left: Vec<_> = after.files.difference(&before.files).cloned().collect();
    figures.equal("files left", String::new(), left.join(" "));
    figures.holds("accounts are as before", before.accounts == after.accounts);
    figures.equal("programs in the kernel", before.programs, after.programs);
    Ok(())
}
