//! A guest: a kernel in QEMU with emulated NVDIMMs, its console, its logs and its end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

use crate::accel::Accel;
use crate::initramfs::{self, Contents};
use crate::kernels::Kernel;
use crate::vm::{Nvdimms, Size};

pub struct Spec {
    pub kernel: Kernel,
    pub nvdimms: Nvdimms,
    pub contents: Contents,
    /// A port on this machine's loopback that reaches the agent in the guest.
    pub port: Option<u16>,
    /// The terminal is the guest's console, keys and all.
    pub interactive: bool,
    pub cpus: u32,
}

/// CPUs of a guest that nobody asked another number of: two, so that what races does.
pub const CPUS: u32 = 2;

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
        command.args(["-smp", &self.cpus.to_string()]);
        command.args([
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
        // Where code and mappings lie decides how deep their trees are; counts of instructions are to repeat.
        let fixed = match accel {
            Accel::Icount => " nokaslr norandmaps",
            Accel::Kvm | Accel::Tcg => "",
        };
        // A start that takes seconds takes minutes on a busy machine that emulates.
        let patient = match self.contents.debian {
            Some(_) => " systemd.default_timeout_start_sec=10min",
            None => "",
        };
        // A test of the timer, at boot, counts its ticks: where others keep the processor from the emulator there are too few, and
        // the kernel panics ("IO-APIC + timer doesn't work", timer_irq_works(), arch/x86/kernel/apic/io_apic.c).
        let always = "console=ttyS2 panic=-1 edd=off no_timer_check";
        command.args([
            "-append",
            &format!("{always} daxscope.nonce={nonce}{fixed}{patient}"),
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
        // QEMU places each on a GiB of its own.
        let places = |size: &Size| size.mebibytes.div_ceil(1024) + 1;
        let most = MEMORY_GIB + sizes.iter().map(places).sum::<u64>();
        command.args(["-M", "q35,nvdimm=on"]);
        command.args([
            "-m",
            &format!("{MEMORY_GIB}G,slots={},maxmem={most}G", sizes.len().max(1)),
        ]);
        for (number, size) in sizes.iter().enumerate() {
            command.args([
                "-object",
                &format!("memory-backend-ram,id=m{number},size={}M", size.mebibytes),
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
        if let Some(image) = &self.contents.debian {
            // What the guest writes is forgotten.
            let drive = format!(
                "file={},format=raw,if=none,id=root,snapshot=on,cache=unsafe",
                image.display()
            );
            command.args(["-drive", &drive, "-device", "virtio-blk-pci,drive=root"]);
        }
        if self.contents.host_root {
            command.args([
                "-virtfs",
                "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
            ]);
        }
    }
}

pub const RESULTS: &str = "results.log";
pub const KERNEL_LOG: &str = "kernel.log";

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
            String::from_utf8_lossy(&fs::read(self.file(RESULTS)).unwrap_or_default()).into_owned();
        let mark = format!("DAXSCOPE-EXIT {} ", self.nonce);
        text.lines()
            .find_map(|line| line.strip_prefix(&mark)?.trim().parse().ok())
    }

    /// One of its logs.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
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
