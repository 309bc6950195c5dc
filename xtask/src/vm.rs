//! Guests: a Debian kernel in QEMU with emulated NVDIMMs. Used by `test` and `demo`, and by hand for ad-hoc work.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use crate::accel::Accel;
use crate::command::on_path;
use crate::initramfs::{self, Contents};
use crate::kernels::{self, Kernel};
use crate::{accel, target_dir};

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
    /// Load this kernel module too
    #[arg(long = "module", value_name = "NAME")]
    modules: Vec<String>,
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
    #[arg(long = "nvdimm", value_name = "SIZE", value_delimiter = ',', default_value = "1G,1G,3G", value_parser = gibibytes)]
    pub sizes: Vec<Gibibytes>,
}

#[derive(Clone, Copy)]
pub struct Gibibytes(u64);

/// Only whole GiB: ndctl refuses a label-less namespace of another multiple at 1G alignment.
fn gibibytes(text: &str) -> Result<Gibibytes, String> {
    let number = text
        .strip_suffix(['G', 'g'])
        .and_then(|number| number.parse().ok())
        .filter(|number| *number > 0);
    number
        .map(Gibibytes)
        .ok_or_else(|| format!("{text:?} is no size: write whole GiB, such as 3G"))
}

pub fn main(args: Args) -> Result<ExitCode> {
    let kernel = kernels::get(&args.machine.kernel)?;
    let command = (!args.command.is_empty()).then(|| shell_words(&args.command));
    let interactive = command.is_none();
    let mut contents = Contents {
        programs: programs()?,
        modules: args.modules,
        host_root: args.host,
        command,
    };
    let agent = target_dir()?.join("release/daxscope");
    if agent.exists() {
        contents.programs.push(agent);
    } else {
        eprintln!("note: no /bin/daxscope in the guest; `cargo build --release` makes it");
    }
    let spec = Spec {
        kernel,
        nvdimms: args.machine.nvdimms,
        contents,
        port: None,
        interactive,
    };
    let dir = target_dir()?
        .join("guest")
        .join(format!("vm-{}", std::process::id()));
    let mut guest = spec.start(&dir, accel::choose(&spec.kernel)?, Stdio::inherit())?;
    let status = guest.wait()?;
    let exit = guest.exit_status();
    if exit.is_none() {
        let log = fs::read_to_string(guest.kernel_log()).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(30).collect();
        for line in tail.iter().rev() {
            eprintln!("{line}");
        }
        bail!(
            "the guest ended before its command did (QEMU: {status}); its kernel's log is {}",
            guest.kernel_log().display()
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

pub struct Spec {
    pub kernel: Kernel,
    pub nvdimms: Nvdimms,
    pub contents: Contents,
    /// A port on this machine's loopback that reaches the agent in the guest.
    pub port: Option<u16>,
    /// The terminal is the guest's console, keys and all.
    pub interactive: bool,
}

/// The agent's port inside the guest.
pub const AGENT_PORT: u16 = 9954;
const MEMORY_GIB: u64 = 3;

impl Spec {
    /// Boots the guest; `dir` takes its initramfs and its logs.
    pub fn start(&self, dir: &Path, accel: Accel, stdout: Stdio) -> Result<Guest> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let mut contents = self.contents.clone();
        if self.port.is_some() {
            contents
                .modules
                .extend(["virtio_pci", "virtio_net"].map(str::to_owned));
        }
        if contents.host_root {
            contents
                .modules
                .extend(["virtio_pci", "9pnet_virtio", "9p"].map(str::to_owned));
        }
        let initramfs = dir.join("initramfs");
        fs::write(&initramfs, initramfs::build(&self.kernel, &contents)?)
            .with_context(|| format!("cannot write {}", initramfs.display()))?;
        let nonce = nonce()?;
        // setpriv: the guest goes when this program does, however it ends.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"])
            .args(accel.arguments());
        command.args([
            "-smp",
            "2",
            "-no-user-config",
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
        ]);
        self.memory(&mut command);
        self.devices(&mut command, dir);
        command
            .arg("-kernel")
            .arg(&self.kernel.image)
            .arg("-initrd")
            .arg(&initramfs);
        command.args([
            "-append",
            &format!("console=ttyS2 panic=-1 edd=off daxscope.nonce={nonce}"),
        ]);
        let input = if self.interactive {
            Stdio::inherit()
        } else {
            Stdio::null()
        };
        let errors = File::create(dir.join("qemu.log")).context("cannot create qemu.log")?;
        let child = command
            .stdin(input)
            .stdout(stdout)
            .stderr(errors)
            .spawn()
            .context("cannot start setpriv and QEMU")?;
        Ok(Guest {
            child,
            dir: dir.to_owned(),
            nonce,
        })
    }

    fn memory(&self, command: &mut Command) {
        let sizes = &self.nvdimms.sizes;
        let most = MEMORY_GIB + sizes.iter().map(|size| size.0 + 1).sum::<u64>();
        command.args(["-M", "q35,nvdimm=on"]);
        command.args([
            "-m",
            &format!("{MEMORY_GIB}G,slots={},maxmem={most}G", sizes.len().max(1)),
        ]);
        for (number, size) in sizes.iter().enumerate() {
            command.args([
                "-object",
                &format!("memory-backend-ram,id=m{number},size={}G", size.0),
            ]);
            // No label-size: with labels the usable size would be no multiple of 1 GiB.
            command.args(["-device", &format!("nvdimm,id=n{number},memdev=m{number}")]);
        }
    }

    fn devices(&self, command: &mut Command, dir: &Path) {
        let console = if self.interactive {
            "stdio,id=console,mux=on,signal=off"
        } else {
            "stdio,id=console"
        };
        command.args(["-chardev", console, "-serial", "chardev:console"]);
        if self.interactive {
            command.args(["-mon", "chardev=console"]);
        }
        for name in [RESULTS, KERNEL_LOG] {
            command.args(["-serial", &format!("file:{}", dir.join(name).display())]);
        }
        if let Some(port) = self.port {
            let forward = format!(
                "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:{AGENT_PORT}"
            );
            // No romfile: the guest does not boot from the network, and the ROM is in a package of its own.
            command.args([
                "-netdev",
                &forward,
                "-device",
                "virtio-net-pci,netdev=net,romfile=",
            ]);
        }
        if self.contents.host_root {
            command.args([
                "-virtfs",
                "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
            ]);
        }
    }
}

const RESULTS: &str = "results.log";
const KERNEL_LOG: &str = "kernel.log";

/// A guest that runs; it is killed when this is dropped.
pub struct Guest {
    pub child: Child,
    pub nonce: String,
    dir: PathBuf,
}

impl Guest {
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.child.wait().context("cannot wait for QEMU")
    }

    /// The exit status of the guest's command, once it has ended.
    pub fn exit_status(&self) -> Option<u8> {
        let text =
            String::from_utf8_lossy(&fs::read(self.results()).unwrap_or_default()).into_owned();
        let mark = format!("DAXSCOPE-EXIT {} ", self.nonce);
        text.lines()
            .find_map(|line| line.strip_prefix(&mark)?.trim().parse().ok())
    }

    pub fn results(&self) -> PathBuf {
        self.dir.join(RESULTS)
    }

    pub fn kernel_log(&self) -> PathBuf {
        self.dir.join(KERNEL_LOG)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A word that nothing else can have printed: a stale or a forged line cannot be taken for this run's.
fn nonce() -> Result<String> {
    let uuid =
        fs::read_to_string("/proc/sys/kernel/random/uuid").context("cannot read a random id")?;
    Ok(uuid.trim().replace('-', ""))
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
    use super::{gibibytes, shell_words};

    #[test]
    fn words_survive_a_shell() {
        let words = ["echo", "it's", "a b", "$x"].map(str::to_owned);
        assert_eq!(shell_words(&words), r#"'echo' 'it'\''s' 'a b' '$x'"#);
    }

    #[test]
    fn sizes_are_whole_gibibytes() {
        assert_eq!(gibibytes("3G").ok().map(|size| size.0), Some(3));
        for wrong in ["", "G", "0G", "3", "512M", "-1G"] {
            assert!(gibibytes(wrong).is_err(), "{wrong}");
        }
    }
}
