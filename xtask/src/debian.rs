//! A Debian with systemd as PID 1: the root file system of the guests that the package is installed in. Made once, without
//! booting anything, from the packages of the release that this machine runs: what is built here finds its libc there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache::{self, Lock};
use crate::command::{on_path, read, run};
use crate::mirror;

/// Beside what every Debian has.
const PACKAGES: [&str; 12] = [
    "systemd-sysv",
    "udev",
    "kmod",
    "ndctl",
    "daxctl",
    "prometheus",
    "openssl",
    "curl",
    "podman",
    "crun",
    "catatonit",
    "dbus",
];

/// Nobody logs in, nothing is fetched, and Prometheus is started by the checks.
const QUIET: [&str; 11] = [
    "prometheus.service",
    "ndctl-monitor.service",
    "getty.target",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-networkd.service",
    "systemd-timesyncd.service",
];

/// Room for what the guest writes, beyond what is installed; the file is sparse.
const SIZE: &str = "2G";

/// An ext4 image, in the cache. Guests change a snapshot of it.
pub fn image() -> Result<PathBuf> {
    let suite = mirror::own_suite()?;
    let home = cache::dir()?.join("debian").join(&suite);
    let _lock = Lock::take(&home)?;
    let recipe = format!("{PACKAGES:?} {QUIET:?} {SIZE}\n");
    let (image, made_by) = (home.join("root.ext4"), home.join("recipe"));
    if image.is_file() && fs::read_to_string(&made_by).ok().as_deref() == Some(&recipe) {
        return Ok(image);
    }
    eprintln!("{suite}: making a root file system with systemd, from Debian's packages");
    let _ = fs::remove_file(&made_by);
    make(&suite, &home, &image).context("cannot make a root file system for the guests")?;
    fs::write(&made_by, recipe).with_context(|| format!("cannot write {}", made_by.display()))?;
    Ok(image)
}

fn make(suite: &str, home: &Path, image: &Path) -> Result<()> {
    let mirror = mirror::find()?;
    let keyring = mirror
        .keyring
        .map_or(String::new(), |file| format!("[signed-by={file}] "));
    let archive = home.join("root.tar");
    let quiet = format!("systemctl --root=\"$1\" --quiet mask {}", QUIET.join(" "));
    let mut bootstrap = Command::new(tool("mmdebstrap")?);
    bootstrap
        .args(["--quiet", "--variant=minbase", "--format=tar"])
        .arg(format!("--include={}", PACKAGES.join(",")))
        .arg(format!("--customize-hook={quiet}"))
        .args(["--dpkgopt=path-exclude=/usr/share/locale/*", suite])
        .arg(&archive)
        .arg(format!("deb {keyring}{} {suite} main", mirror.uri));
    run(&mut bootstrap)?;
    // mke2fs reads a folder, and fakeroot remembers the owners that only root could give its files.
    let folder = home.join("root");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let _ = fs::remove_file(image);
    let fill = "tar -C \"$1\" -xf \"$2\" --exclude=./dev/'*' && \
                \"$3\" -q -t ext4 -O ^has_journal -L daxscope -d \"$1\" \"$4\" \"$5\"";
    let mut fakeroot = Command::new(tool("fakeroot")?);
    fakeroot
        .args(["sh", "-euc", fill, "sh"])
        .args([&folder, &archive])
        .arg(tool("mke2fs")?)
        .arg(image)
        .arg(SIZE);
    read(&mut fakeroot)?;
    let _ = fs::remove_file(archive);
    let _ = fs::remove_dir_all(folder);
    Ok(())
}

fn tool(name: &str) -> Result<PathBuf> {
    on_path(name).with_context(|| format!("no {name}: run `cargo xtask setup`"))
}
