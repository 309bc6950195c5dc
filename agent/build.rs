//! Builds the eBPF object, or takes the one it is given, and embeds it; see docs/building.md.
//!
//! In order: the file named by `DAXSCOPE_EBPF_OBJECT`; a compiler that comes with its library's source, from a rustup
//! nightly or from a distribution (`/usr/bin/rustc`), with bpf-linker. With neither, a debug build goes on without an
//! object and says so when asked to probe, and a release build fails.

#[path = "build/strip.rs"]
mod strip;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const REMEDY: &str = "the eBPF object needs a rustc with its library's source and bpf-linker:\n  \
    rustup toolchain install nightly --component rust-src && cargo install bpf-linker\n\
    or, on Debian, `cargo xtask setup`; or name a ready object in DAXSCOPE_EBPF_OBJECT";

fn main() {
    let out = PathBuf::from(variable("OUT_DIR"));
    let object = out.join("daxscope.bpf.o");
    println!("cargo::rerun-if-env-changed=DAXSCOPE_EBPF_OBJECT");
    println!("cargo::rustc-env=DAXSCOPE_REVISION={}", revision());
    if let Some(given) = env::var_os("DAXSCOPE_EBPF_OBJECT") {
        println!("cargo::rerun-if-changed={}", given.display());
        embed(Path::new(&given), &object);
        return;
    }
    for source in ["../ebpf", "../common", "../Cargo.lock"] {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rerun-if-env-changed=PATH");
    match Toolchain::find() {
        Ok(toolchain) => embed(&toolchain.build(&out), &object),
        Err(missing) => {
            assert!(variable("PROFILE") != "release", "{missing}\n{REMEDY}");
            println!("cargo::warning=built without the eBPF object: {missing}");
            fs::write(&object, []).expect("cannot write an empty eBPF object");
        }
    }
}

/// Copies the object without what the agent does not need of it.
fn embed(built: &Path, object: &Path) {
    let elf = fs::read(built).unwrap_or_else(|e| panic!("cannot read {}: {e}", built.display()));
    fs::write(object, strip::strip(&elf).unwrap_or(elf)).expect("cannot write the eBPF object");
}

struct Toolchain {
    rustc: PathBuf,
    linker: PathBuf,
}

impl Toolchain {
    fn find() -> Result<Self, String> {
        let nightly = rustc_of_nightly();
        let (rustc, llvm) = [nightly, Some("/usr/bin/rustc".into())]
            .into_iter()
            .flatten()
            .find_map(|rustc| llvm_of(&rustc).map(|llvm| (rustc, llvm)))
            .ok_or("no rustc with its library's source was found")?;
        let linker = linker(&llvm).ok_or("bpf-linker was not found")?;
        Ok(Self { rustc, linker })
    }

    /// Builds the object and returns where it is. Objects are the same for all profiles, so all share one folder.
    fn build(&self, out: &Path) -> PathBuf {
        const TARGET: &str = "bpfel-unknown-none";
        // OUT_DIR is TARGET_DIR/PROFILE/build/PACKAGE-HASH/out.
        let target_dir = out.ancestors().nth(4).unwrap_or(out).join("ebpf");
        let flags = [
            format!(
                "--cfg=bpf_target_arch=\"{}\"",
                variable("CARGO_CFG_TARGET_ARCH")
            ),
            // fentry and fexit need BTF, which is made from the debug information.
            "-Cdebuginfo=2".into(),
            "-Clink-arg=--btf".into(),
            format!("-Clinker={}", self.linker.display()),
        ];
        let mut cargo = Command::new(variable("CARGO"));
        cargo
            .args(["build", "--package=daxscope-ebpf", "--release"])
            .args(["-Zbuild-std=core", "--target", TARGET, "--target-dir"])
            .arg(&target_dir)
            .current_dir("..")
            .env("RUSTC", &self.rustc)
            // Lets a stable compiler build its own library for another target.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
            // Set for the build of this package; they would be taken for that of the object.
            .env_remove("RUSTC_WRAPPER")
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .env_remove("CARGO_BUILD_TARGET")
            .env_remove("RUSTFLAGS");
        let status = cargo.status().expect("cannot run cargo");
        assert!(
            status.success(),
            "the eBPF object does not build ({status}): {cargo:?}"
        );
        target_dir.join(TARGET).join("release/daxscope-ebpf")
    }
}

/// The compiler of the rustup toolchain `nightly`, if there is one.
fn rustc_of_nightly() -> Option<PathBuf> {
    let mut rustup = Command::new("rustup");
    rustup
        .args(["which", "rustc", "--toolchain", "nightly"])
        .env_remove("RUSTUP_TOOLCHAIN");
    output(&mut rustup).map(Into::into)
}

/// The LLVM release of a compiler, if the source of its library is there.
fn llvm_of(rustc: &Path) -> Option<String> {
    let sysroot = output(Command::new(rustc).args(["--print", "sysroot"]))?;
    Path::new(&sysroot)
        .join("lib/rustlib/src/rust/library/core")
        .exists()
        .then_some(())?;
    let version = output(Command::new(rustc).arg("-vV"))?;
    let llvm = version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    llvm.split('.').next().map(Into::into)
}

/// bpf-linker: the one that `cargo xtask setup` built for this LLVM, else the one on the path.
fn linker(llvm: &str) -> Option<PathBuf> {
    println!("cargo::rerun-if-env-changed=DAXSCOPE_CACHE");
    println!("cargo::rerun-if-env-changed=XDG_CACHE_HOME");
    let folder = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = folder("DAXSCOPE_CACHE")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("daxscope")))
        .or_else(|| Some(folder("HOME")?.join(".cache/daxscope")))?;
    let ours = cache.join(format!("bpf-linker-llvm-{llvm}/bin/bpf-linker"));
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|folder| folder.join("bpf-linker"));
    std::iter::once(ours)
        .chain(on_path)
        .find(|file| file.exists())
}

/// The revision that is checked out, short; `unknown` outside a checkout.
fn revision() -> String {
    let git = |arguments: &[&str]| output(Command::new("git").arg("rev-parse").args(arguments));
    // HEAD's log grows by a line at each change of it. A path that is not there would have this run, and all be built, each time.
    if let Some(log) = git(&["--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["--short=12", "HEAD"]).unwrap_or_else(|| "unknown".into())
}

fn output(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().into())
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo does not set {name}"))
}
