//! Hosts that let the agent see less: each is this guest with something taken away, for one process or for all.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use anyhow::{Context, Result, ensure};

/// What one process is left with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Means {
    /// Root, and all that the guest has.
    All,
    /// Root, but an empty file where the kernel's types are.
    NoBtf,
    /// Nobody, with `CAP_BPF` and `CAP_PERFMON`: the unit of a careful operator.
    TwoCapabilities,
    /// Nobody, with nothing.
    Nothing,
}

#[derive(clap::Args, Debug)]
pub struct Args {
    /// What to leave it
    #[arg(value_enum)]
    means: Means,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// `xtask guest limited`.
pub fn main(args: &Args) -> Result<()> {
    let mut command = Command::new(&args.command[0]);
    args.means.limit(&mut command)?;
    Err(command.args(&args.command[1..]).exec().into())
}

const BTF: &std::ffi::CStr = c"/sys/kernel/btf/vmlinux";
const EMPTY: &std::ffi::CStr = c"/tmp/daxscope-empty";
const NOBODY: u32 = 65534;
// include/uapi/linux/capability.h
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

impl Means {
    /// Prepares what the command's process will be.
    pub fn limit(self, command: &mut Command) -> Result<()> {
        if self == Means::NoBtf {
            fs::write(EMPTY.to_str()?, "").context("cannot make an empty file")?;
        }
        let become_it = move || match self {
            Means::All => Ok(()),
            Means::NoBtf => hide_btf(),
            Means::TwoCapabilities => drop_to(&[CAP_PERFMON, CAP_BPF]),
            Means::Nothing => drop_to(&[]),
        };
        // SAFETY: runs in the child between fork and exec, and makes system calls only.
        unsafe { command.pre_exec(become_it) };
        Ok(())
    }
}

/// In a mount namespace of its own.
fn hide_btf() -> io::Result<()> {
    let mount = |source: *const libc::c_char, target: *const libc::c_char, flags| {
        // SAFETY: paths are zero-terminated, or null where the kernel ignores them.
        check(unsafe { libc::mount(source, target, ptr::null(), flags, ptr::null()) })
    };
    // SAFETY: no pointers.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    mount(ptr::null(), c"/".as_ptr(), libc::MS_REC | libc::MS_PRIVATE)?;
    mount(EMPTY.as_ptr(), BTF.as_ptr(), libc::MS_BIND)
}

/// Nobody, with these capabilities kept over the change of user, and over exec as ambient ones.
fn drop_to(kept: &[u32]) -> io::Result<()> {
    // Before 5.11 maps count against it; a unit sets LimitMEMLOCK=infinity.
    let limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: one struct that lives through the call; the others take no pointers.
    unsafe {
        check(libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit))?;
        check(libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0))?;
        check(libc::setgroups(0, ptr::null()))?;
        check(libc::setgid(NOBODY))?;
        check(libc::setuid(NOBODY))?;
    }
    // struct __user_cap_header_struct { __u32 version; int pid; }, and two of
    // struct __user_cap_data_struct { __u32 effective, permitted, inheritable; }
    let header = [CAPABILITY_VERSION_3, 0];
    let high: u32 = kept.iter().map(|capability| 1 << (capability - 32)).sum();
    let data = [[0; 3], [high; 3]];
    // SAFETY: both have the size that version 3 asks for.
    let rc = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    if rc != 0 {
        return Err(io::Error::last_os_error());
    }
    for capability in kept {
        // SAFETY: no pointers.
        check(unsafe {
            libc::prctl(
                libc::PR_CAP_AMBIENT,
                libc::PR_CAP_AMBIENT_RAISE,
                *capability,
                0,
                0,
            )
        })?;
    }
    Ok(())
}

fn check(rc: i32) -> io::Result<()> {
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A sysctl that has another value until this is dropped.
pub struct Sysctl {
    path: String,
    before: String,
}

impl Sysctl {
    /// `kernel/kptr_restrict`
    pub fn set(name: &str, value: &str) -> Result<Sysctl> {
        let path = format!("/proc/sys/{name}");
        let before = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        fs::write(&path, value).with_context(|| format!("cannot write {value} to {path}"))?;
        Ok(Sysctl { path, before })
    }
}

impl Drop for Sysctl {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.path, &self.before) {
            eprintln!("{} stays as it is: {error}", self.path);
        }
    }
}

/// From here on for good: the kernel can be locked down further, never less (security/lockdown/lockdown.c).
pub fn lock_down(level: &str) -> Result<()> {
    let file = "/sys/kernel/security/lockdown";
    fs::write(file, level).with_context(|| format!("cannot write {level} to {file}"))?;
    let now = fs::read_to_string(file)?;
    ensure!(now.contains(&format!("[{level}]")), "{file} says {now:?}");
    Ok(())
}
