//! The compiler for the eBPF object, by the rule of `agent/build.rs`: a rustup nightly that has its library's source,
//! else Debian's rustc-web with the source beside it (stable toolchains of rustup cannot build a core library).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::read_text;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    Nightly,
    Debian,
}

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
pub const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/core/src/lib.rs";
pub const DEBIAN_CLIPPY: &str = "/usr/bin/cargo-clippy";

impl Compiler {
    pub fn find() -> Option<Self> {
        let sysroot = read_text(Self::Nightly.rustc().args(["--print", "sysroot"])).ok();
        let source = sysroot.map(|path| {
            PathBuf::from(path.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs")
        });
        if source.is_some_and(|file| file.exists()) {
            return Some(Self::Nightly);
        }
        [DEBIAN_RUSTC, DEBIAN_SOURCE]
            .iter()
            .all(|file| Path::new(file).exists())
            .then_some(Self::Debian)
    }

    /// The major version of the LLVM that it emits bitcode with.
    pub fn llvm(self) -> Result<u32> {
        llvm_of(&read_text(self.rustc().arg("-vV"))?)
    }

    /// `cargo clippy` with this compiler; what it is to check comes as further arguments.
    pub fn clippy(self) -> Command {
        match self {
            Self::Nightly => Self::nightly(&["cargo", "clippy"]),
            Self::Debian => {
                let mut command = Command::new(DEBIAN_CLIPPY);
                command
                    .arg("clippy")
                    .env("RUSTC", DEBIAN_RUSTC)
                    .env("RUSTC_BOOTSTRAP", "1");
                command
            }
        }
    }

    fn rustc(self) -> Command {
        match self {
            Self::Nightly => Self::nightly(&["rustc"]),
            Self::Debian => Command::new(DEBIAN_RUSTC),
        }
    }

    fn nightly(arguments: &[&str]) -> Command {
        let mut command = Command::new("rustup");
        command.args(["run", "nightly"]).args(arguments);
        // Both name the stable toolchain that runs this program.
        command
            .env_remove("CARGO")
            .env_remove("RUSTC")
            .env_remove("RUSTUP_TOOLCHAIN");
        command
    }
}

fn llvm_of(version: &str) -> Result<u32> {
    version
        .lines()
        .find_map(|line| {
            line.strip_prefix("LLVM version: ")?
                .split('.')
                .next()?
                .parse()
                .ok()
        })
        .context("rustc -vV names no LLVM version")
}

#[cfg(test)]
mod tests {
    use super::llvm_of;

    #[test]
    fn the_llvm_of_a_compiler() {
        assert_eq!(
            llvm_of("rustc 1.96.0\nrelease: 1.96.0\nLLVM version: 22.1.8\n").ok(),
            Some(22)
        );
        assert!(llvm_of("rustc 1.96.0").is_err());
    }
}
