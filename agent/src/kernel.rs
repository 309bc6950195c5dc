//! Everything known about the running kernel, asked of the kernel itself. The only place that reads `/sys/kernel`
//! and `/proc`.

pub mod addresses;
pub mod btf;
pub mod clock;
pub mod code;
pub mod facts;
pub mod functions;
pub mod memory;
pub mod nodes;
pub mod paging;
pub mod preemption;
pub mod privileges;
pub mod symbols;
pub mod threads;
pub mod vmstat;

use std::path::Path;

use anyhow::Result;

use self::{btf::Btf, preemption::Preemption, symbols::Symbols};

/// What was read of the kernel once, before anything is loaded.
pub struct Kernel {
    /// As `uname -r` prints it; for people only.
    pub release: String,
    /// `Err` holds the reason in words.
    pub btf: Result<Btf>,
    pub symbols: Symbols,
    pub preemption: Preemption,
}

impl Kernel {
    /// Reads the running kernel, its BTF from `given` if somebody gave one.
    ///
    /// # Errors
    /// When the given file cannot be used; that the kernel has no BTF of its own is no error.
    pub fn read(given: Option<&Path>) -> Result<Self> {
        Self::with(given, |_| Symbols::read())
    }

    /// As [`read`](Self::read), as fast as can be: its functions are those that BTF describes, where there is BTF, and it has
    /// no addresses.
    ///
    /// # Errors
    /// As of [`read`](Self::read).
    pub fn described(given: Option<&Path>) -> Result<Self> {
        Self::with(given, |btf| {
            btf.map_or_else(Symbols::read, Symbols::described)
        })
    }

    fn with(given: Option<&Path>, symbols: impl Fn(Option<&Btf>) -> Symbols) -> Result<Self> {
        let btf = match given {
            Some(path) => Ok(Btf::open(path)?),
            None => Btf::open(Path::new(btf::VMLINUX)),
        };
        Ok(Self {
            release: std::fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| "unknown".into(), |release| release.trim().into()),
            symbols: symbols(btf.as_ref().ok()),
            btf,
            preemption: Preemption::read(),
        })
    }
}
