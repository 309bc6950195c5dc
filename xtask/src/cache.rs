//! Where things live that outlast a build: kernels, tools, answers about this machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// `$DAXSCOPE_CACHE`, else `daxscope` in the user's cache folder. `agent/build.rs` looks for bpf-linker by the same rule.
pub fn dir() -> Result<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("DAXSCOPE_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("daxscope")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/daxscope")))
        .context("no cache folder: set DAXSCOPE_CACHE or HOME")
}

/// Held until dropped. Two `cargo xtask` at once (a test and a shell in a guest) must not fetch into the same folder.
pub struct Lock(#[expect(dead_code, reason = "closing the file releases the lock")] File);

impl Lock {
    pub fn take(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let path = dir.join("lock");
        let file =
            File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        if file.try_lock().is_err() {
            eprintln!(
                "waiting for another cargo xtask that holds {}",
                path.display()
            );
            file.lock()
                .with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Ok(Self(file))
    }
}
