//! What a bare Debian machine with cargo lacks: said first, with the reason, then installed.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use crate::command::on_path;
use crate::ebpf::{Compiler, DEBIAN_CLIPPY, DEBIAN_SOURCE};
use crate::{cache, install, page};

/// Install what is missing: packages, bpf-linker, promtool
#[derive(clap::Args)]
pub struct Args {
    /// Only list what is missing, and fail if anything is
    #[arg(long)]
    pub no_install: bool,
}

pub fn main(args: &Args) -> Result<()> {
    ensure(&Install {
        allowed: !args.no_install,
        tests: true,
        peers: false,
    })
}

/// What a verb may do and needs.
pub struct Install {
    pub allowed: bool,
    /// Also what only the tests need.
    pub tests: bool,
    /// Also the tools that `bench` measures beside the agent.
    pub peers: bool,
}

/// How a package is recognised: by what it is needed for, so that a hand-made install counts as well.
enum Present {
    Program(&'static str),
    File(&'static str),
    AnyOf(&'static [&'static str]),
    /// A distribution's rustc that bpf-linker can follow; an older one would not do.
    Rustc,
}

/// Debian packages: name, why, how recognised.
const PACKAGES: [(&str, &str, Present); 6] = [
    (
        "qemu-system-x86",
        "runs the guests",
        Present::Program("qemu-system-x86_64"),
    ),
    (
        "ndctl",
        "makes persistent-memory namespaces in the guests",
        Present::Program("ndctl"),
    ),
    (
        "daxctl",
        "lists device-dax devices in the guests",
        Present::Program("daxctl"),
    ),
    (
        "busybox-static",
        "the guests' shell and small tools",
        Present::Program("busybox"),
    ),
    (
        "kmod",
        "tells which modules a kernel module needs",
        Present::Program("modinfo"),
    ),
    ("xz-utils", "unpacks kernel modules", Present::Program("xz")),
];

/// A compiler for the eBPF object together with the source of its library, where there is no such nightly.
const COMPILER: [(&str, &str, Present); 2] = [
    (
        "rustc-web",
        "Debian's newest Rust compiler, for the eBPF object",
        Present::Rustc,
    ),
    (
        "rust-web-src",
        "the library source that goes with it",
        Present::File(DEBIAN_SOURCE),
    ),
];

/// What bpf-linker is built with, besides LLVM's own files.
const LINKER: [(&str, &str, Present); 3] = [
    (
        "g++",
        "builds bpf-linker: the C++ library that LLVM needs",
        Present::Program("g++"),
    ),
    (
        "libzstd-dev",
        "builds bpf-linker: LLVM needs it",
        Present::File("/usr/include/zstd.h"),
    ),
    (
        "zlib1g-dev",
        "builds bpf-linker: LLVM needs it",
        Present::File("/usr/include/zlib.h"),
    ),
];

/// What makes the package, and the guest that it is installed in.
const PACKAGING: [(&str, &str, Present); 7] = [
    (
        "debhelper",
        "makes the Debian package",
        Present::Program("dh"),
    ),
    (
        "lintian",
        "Debian's own judgement of the package",
        Present::Program("lintian"),
    ),
    (
        "mmdebstrap",
        "makes the root file system of the guests that the package is installed in",
        Present::Program("mmdebstrap"),
    ),
    (
        "fakeroot",
        "files of that root file system belong to root, without root",
        Present::Program("fakeroot"),
    ),
    (
        "e2fsprogs",
        "makes a disk image of it",
        Present::Program("mke2fs"),
    ),
    (
        "systemd",
        "judges how exposed the service is",
        Present::Program("systemd-analyze"),
    ),
    (
        "python3-pip",
        "fetches what judges the manifests for Kubernetes, into the cache",
        Present::Program("pip3"),
    ),
];

const CLIPPY: [(&str, &str, Present); 1] = [(
    "rust-web-clippy",
    "the lints of the eBPF crate, with that compiler",
    Present::File(DEBIAN_CLIPPY),
)];

const BROWSER: [(&str, &str, Present); 1] = [(
    "chromium-headless-shell",
    "the page for people is looked at in a browser",
    Present::AnyOf(&page::PROGRAMS),
)];

/// Tools that watch the same functions, from this machine's root in the guest.
const PEERS: [(&str, &str, Present); 2] = [
    (
        "bpftrace",
        "the bench: the floor of any observer, and what a script of one line costs",
        Present::Program("bpftrace"),
    ),
    (
        "linux-perf",
        "the bench: what perf's own counting of kprobe events costs",
        Present::Program("perf"),
    ),
];

/// Not in every suite; without it the bench says so in its cells.
const FUNCLATENCY: [(&str, &str, Present); 1] = [(
    "libbpf-tools",
    "the bench: what funclatency costs",
    Present::Program("funclatency"),
)];

pub const BPF_LINKER: &str = "0.13.0";
pub const CARGO_DENY: &str = "0.20.2";
/// The first Debian suite whose Prometheus is built with the discovery of Kubernetes. It runs on Debian 12 and later.
pub const PROMETHEUS_OF: &str = "trixie";
/// What this version of bpf-linker can be built for (its cargo features `llvm-N`).
const LLVM: std::ops::RangeInclusive<u32> = 21..=23;

struct Missing {
    what: String,
    why: String,
    how: How,
}

impl Missing {
    fn new(what: impl Into<String>, why: impl Into<String>, how: How) -> Self {
        Self {
            what: what.into(),
            why: why.into(),
            how,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    Apt,
    BpfLinker(u32),
    Prometheus,
    Deny,
    /// Cannot be told before the others are here.
    Later,
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.how {
            How::Apt => "apt-get install",
            How::BpfLinker(_) => "cargo install, into the cache",
            How::Prometheus => "unpacked into the cache, nothing is installed",
            How::Deny => "from PyPI or built, into the cache",
            How::Later => "after the above",
        };
        write!(formatter, "  {:<16} {} ({how})", self.what, self.why)
    }
}

/// Installs until nothing is missing. What bpf-linker needs is known only once a compiler is here, hence rounds.
pub fn ensure(wanted: &Install) -> Result<()> {
    let mut before = Vec::new();
    loop {
        let missing = missing(wanted)?;
        if missing.is_empty() {
            if before.is_empty() {
                eprintln!("setup: nothing is missing");
            }
            return Ok(());
        }
        let names: Vec<String> = missing.iter().map(|one| one.what.clone()).collect();
        ensure!(
            names != before,
            "still missing after the installation: {}",
            names.join(", ")
        );
        eprintln!("setup: missing on this machine:");
        for one in &missing {
            eprintln!("{one}");
        }
        if !wanted.allowed {
            bail!("{} missing, and --no-install was given", missing.len());
        }
        round(&missing)?;
        before = names;
    }
}

fn round(missing: &[Missing]) -> Result<()> {
    let packages: Vec<&str> = missing
        .iter()
        .filter(|one| one.how == How::Apt)
        .map(|one| one.what.as_str())
        .collect();
    if !packages.is_empty() {
        return install::packages(&packages);
    }
    for one in missing {
        match one.how {
            How::BpfLinker(llvm) => install::linker(llvm)?,
            How::Prometheus => install::prometheus()?,
            How::Deny => install::deny()?,
            How::Apt | How::Later => {}
        }
    }
    Ok(())
}

fn missing(wanted: &Install) -> Result<Vec<Missing>> {
    let mut missing = absent(&PACKAGES);
    let compiler = Compiler::find();
    if compiler != Some(Compiler::Nightly) {
        missing.extend(absent(&COMPILER));
        if wanted.tests {
            missing.extend(absent(&CLIPPY));
        }
    }
    missing.extend(missing_linker(compiler)?);
    if wanted.tests {
        missing.extend(absent(&BROWSER));
        missing.extend(absent(&PACKAGING));
    }
    if wanted.peers {
        missing.extend(absent(&PEERS));
        if install::packaged(FUNCLATENCY[0].0) {
            missing.extend(absent(&FUNCLATENCY));
        }
    }
    if wanted.tests && (promtool()?.is_none() || prometheus()?.is_none()) {
        let why = "the real one, and its own checks, from Debian's packages";
        missing.push(Missing::new("prometheus", why, How::Prometheus));
    }
    if wanted.tests && deny()?.is_none() {
        let why = "licences, sources and known flaws of what we build from";
        missing.push(Missing::new("cargo-deny", why, How::Deny));
    }
    Ok(missing)
}

/// bpf-linker, which must have the LLVM of the compiler, and what it is built with.
fn missing_linker(compiler: Option<Compiler>) -> Result<Vec<Missing>> {
    if on_path("bpf-linker").is_some() {
        return Ok(Vec::new());
    }
    let mut missing = absent(&LINKER);
    let Some(compiler) = compiler else {
        let why = "links the eBPF object; with the files of that compiler's LLVM";
        missing.push(Missing::new("bpf-linker", why, How::Later));
        return Ok(missing);
    };
    let llvm = compiler.llvm()?;
    if linker(llvm)?.is_file() {
        return Ok(Vec::new());
    }
    check_llvm(llvm)?;
    if !Path::new(&format!("/usr/lib/llvm-{llvm}/include/llvm-c/Core.h")).exists() {
        let why = format!("builds bpf-linker: the compiler of the eBPF object has LLVM {llvm}");
        missing.push(Missing::new(format!("llvm-{llvm}-dev"), why, How::Apt));
    }
    let why = format!("links the eBPF object, version {BPF_LINKER} for LLVM {llvm}");
    missing.push(Missing::new("bpf-linker", why, How::BpfLinker(llvm)));
    Ok(missing)
}

fn absent(packages: &[(&str, &str, Present)]) -> Vec<Missing> {
    let absent = packages.iter().filter(|(_, _, present)| match present {
        Present::Program(name) => on_path(name).is_none(),
        Present::File(path) => !Path::new(path).exists(),
        Present::AnyOf(names) => names.iter().all(|name| on_path(name).is_none()),
        Present::Rustc => !Compiler::Debian
            .llvm()
            .is_ok_and(|llvm| LLVM.contains(&llvm)),
    });
    absent
        .map(|(name, why, _)| Missing::new(*name, *why, How::Apt))
        .collect()
}

fn check_llvm(llvm: u32) -> Result<()> {
    ensure!(
        LLVM.contains(&llvm),
        "the compiler for the eBPF object has LLVM {llvm}, bpf-linker {BPF_LINKER} knows {} to {}: enable Debian's \
         security updates (they bring a newer rustc-web), or `rustup toolchain install nightly -c rust-src`",
        LLVM.start(),
        LLVM.end()
    );
    Ok(())
}

/// Where `agent/build.rs` looks for the linker when PATH has none.
pub fn linker(llvm: u32) -> Result<PathBuf> {
    Ok(cache::dir()?.join(format!("bpf-linker-llvm-{llvm}/bin/bpf-linker")))
}

/// promtool, if it is in the cache.
pub fn promtool() -> Result<Option<PathBuf>> {
    of_prometheus("promtool")
}

/// Prometheus itself, which comes with promtool.
pub fn prometheus() -> Result<Option<PathBuf>> {
    of_prometheus("prometheus")
}

/// Never one that is on PATH: Debian 12's finds nothing in Kubernetes, and what passes should not depend on the machine.
fn of_prometheus(program: &str) -> Result<Option<PathBuf>> {
    let cached = prometheus_home()?.join("root/usr/bin").join(program);
    Ok(cached.is_file().then_some(cached))
}

pub fn prometheus_home() -> Result<PathBuf> {
    Ok(cache::dir()?.join(format!("prometheus-{PROMETHEUS_OF}")))
}

/// cargo-deny, if it is on PATH or in the cache.
pub fn deny() -> Result<Option<PathBuf>> {
    let cached = deny_home()?.join("bin/cargo-deny");
    Ok(on_path("cargo-deny").or_else(|| cached.is_file().then_some(cached)))
}

pub fn deny_home() -> Result<PathBuf> {
    Ok(cache::dir()?.join(format!("cargo-deny-{CARGO_DENY}")))
}
