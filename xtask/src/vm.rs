//! Guests: a Debian kernel in QEMU with emulated NVDIMMs. Used by `test` and `demo`, and by hand for ad-hoc work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::accel::Accel;
use crate::command::{on_path, workspace};
use crate::initramfs::Contents;
use crate::qemu::{CPUS, KERNEL_LOG, Spec};
use crate::{accel, debian, kernels, package, target_dir};

/// A shell, or one command, in a guest with emulated persistent memory.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask vm                                             a shell on Debian trixie's kernel (leave it with `exit`)
  cargo xtask vm --kernel bullseye -- ndctl list
  cargo xtask vm --nvdimm 2G,4G -- sh -c 'uname -r; ls /dev/pmem*'
  cargo xtask vm --host -- chroot /host bpftool prog list    any tool of this machine, in the guest")]
pub struct Args {
    #[command(flatten)]
    machine: Machine,
    /// Mount this machine's root folder read-only on /host
    #[arg(long)]
    host: bool,
    /// A Debian with systemd as PID 1, in place of busybox; `cargo xtask package` first, and the package is in /packages
    #[arg(long, conflicts_with_all = ["host", "icount"])]
    debian: bool,
    /// Load this kernel module too
    #[arg(long = "module", value_name = "NAME")]
    modules: Vec<String>,
    /// Emulate, with a clock that counts instructions (1 ns each): counts repeat whatever else this machine does
    #[arg(long)]
    icount: bool,
    /// CPUs of the guest [default: 2, or 1 with --icount]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    smp: Option<u32>,
    /// The command to run instead of a shell; its exit status becomes this program's
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What the guest looks like to its kernel.
#[derive(clap::Args, Clone)]
pub struct Machine {
    /// A Debian suite (bullseye, bookworm, trixie, trixie-backports, sid, …) or a folder with an unpacked kernel
    #[arg(long, value_name = "SUITE|DIR", default_value = "trixie")]
    pub kernel: String,
    #[command(flatten)]
    pub nvdimms: Nvdimms,
}

#[derive(clap::Args, Clone)]
pub struct Nvdimms {
    /// Sizes of the emulated NVDIMMs: region0, region1, …
    #[arg(long = "nvdimm", value_name = "SIZE", value_delimiter = ',', default_value = "1G,1G,3G,2G,1040M,1040M", value_parser = size)]
    pub sizes: Vec<Size>,
}

impl Nvdimms {
    /// Of these sizes, in MiB.
    pub fn of(mebibytes: &[u64]) -> Self {
        let sizes = mebibytes.iter().map(|mebibytes| Size {
            mebibytes: *mebibytes,
        });
        Self {
            sizes: sizes.collect(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub mebibytes: u64,
}

/// Multiples of 16 MiB, which is what ndctl takes of a label-less namespace.
fn size(text: &str) -> Result<Size, String> {
    let number = |unit: [char; 2]| text.strip_suffix(unit)?.parse::<u64>().ok();
    let mebibytes = number(['G', 'g'])
        .and_then(|number| number.checked_mul(1024))
        .or_else(|| number(['M', 'm']))
        .filter(|number| *number > 0 && number.is_multiple_of(16));
    mebibytes
        .map(|mebibytes| Size { mebibytes })
        .ok_or_else(|| format!("{text:?} is no size: write 3G, or a multiple of 16M such as 1040M"))
}

pub fn main(args: Args) -> Result<ExitCode> {
    let kernel = kernels::get(&args.machine.kernel)?;
    let command = (!args.command.is_empty()).then(|| shell_words(&args.command));
    let interactive = command.is_none();
    let mut contents = Contents {
        modules: args.modules,
        host_root: args.host,
        command,
        ..Contents::default()
    };
    if args.debian {
        installable(&mut contents)?;
    } else {
        contents.programs = programs()?;
        let agent = agent()?;
        if agent.exists() {
            contents.programs.push(agent);
        } else {
            eprintln!("note: no /bin/daxscope in the guest; `cargo build --release` makes it");
        }
    }
    let spec = Spec {
        kernel,
        nvdimms: args.machine.nvdimms,
        contents,
        port: None,
        interactive,
        cpus: args.smp.unwrap_or(if args.icount { 1 } else { CPUS }),
    };
    let accel = if args.icount {
        Accel::Icount
    } else {
        accel::choose(&spec.kernel)?
    };
    let dir = target_dir()?
        .join("guest")
        .join(format!("vm-{}", std::process::id()));
    let mut guest = spec.start(&dir, accel, Stdio::inherit())?;
    let status = guest.wait()?;
    let exit = guest.exit_status();
    if exit.is_none() {
        let log = fs::read_to_string(guest.file(KERNEL_LOG)).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(30).collect();
        for line in tail.iter().rev() {
            eprintln!("{line}");
        }
        bail!(
            "the guest ended before its command did (QEMU: {status}); its kernel's log is {}",
            guest.file(KERNEL_LOG).display()
        );
    }
    let _ = fs::remove_dir_all(&dir);
    Ok(ExitCode::from(exit.unwrap_or(1)))
}

/// What is in every guest beside busybox and the agent: this very program (its `guest` verb) and the region tools.
pub fn programs() -> Result<Vec<PathBuf>> {
    let mut programs =
        vec![std::env::current_exe().context("cannot find this program's own file")?];
    for tool in ["ndctl", "daxctl"] {
        programs
            .push(on_path(tool).with_context(|| format!("no {tool}: run `cargo xtask setup`"))?);
    }
    Ok(programs)
}

/// What an image is built from, as in a clone of this repository, and what is made of it.
const SOURCES: [&str; 4] = [
    "deploy/container/Containerfile",
    "deploy/kubernetes/configmap.yaml",
    "deploy/kubernetes/daemonset.yaml",
    "deploy/kubernetes/kustomization.yaml",
];

/// What a guest with a Debian has: its image, this very program, in /packages what `cargo xtask package` made, and in /source
/// what an image is built from.
pub fn installable(contents: &mut Contents) -> Result<()> {
    contents.debian = Some(debian::image()?);
    contents
        .programs
        .push(std::env::current_exe().context("cannot find this program's own file")?);
    for package in package::made()? {
        let name = package.file_name().unwrap_or_default();
        contents
            .files
            .push((PathBuf::from("packages").join(name), package.clone()));
    }
    let source = Path::new("source");
    let agent = agent()?;
    if agent.is_file() {
        let built = source.join("target/release/daxscope");
        contents.files.push((built, agent));
    }
    for file in SOURCES {
        contents
            .files
            .push((source.join(file), workspace().join(file)));
    }
    Ok(())
}

/// The agent's release build, which the guests get.
pub fn agent() -> Result<PathBuf> {
    Ok(target_dir()?.join("release/daxscope"))
}

/// A command line that a shell reads as exactly these words.
fn shell_words(words: &[String]) -> String {
    words
        .iter()
        .map(|word| format!("'{}'", word.replace('\'', r"'\''")))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Size, shell_words, size};

    #[test]
    fn words_survive_a_shell() {
        let words = ["echo", "it's", "a b", "$x"].map(str::to_owned);
        assert_eq!(shell_words(&words), r"'echo' 'it'\''s' 'a b' '$x'");
    }

    #[test]
    fn sizes_are_what_ndctl_takes() {
        assert_eq!(size("3G"), Ok(Size { mebibytes: 3072 }));
        assert_eq!(size("1040M"), Ok(Size { mebibytes: 1040 }));
        for wrong in ["", "G", "0G", "3", "500M", "-1G", "3GM"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
