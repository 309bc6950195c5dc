//! KVM or TCG. On some machines /dev/kvm exists, QEMU takes it, and the guest then hangs early in its boot (nested,
//! paravirtual KVM). So KVM is used only after a guest has shown that it reaches user space.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cache::{self, Lock};
use crate::initramfs::Contents;
use crate::kernels::Kernel;
use crate::qemu::{CPUS, Spec};
use crate::vm::Nvdimms;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    Kvm,
    Tcg,
    /// TCG whose clock counts instructions: the time stamp counter goes up by one with each, so a count of them repeats
    /// whatever else this machine does. CPUs take turns on one thread. Asked for, never chosen.
    Icount,
}

/// A working KVM guest is there in about two seconds.
const LIMIT: Duration = Duration::from_secs(8);

impl Accel {
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => &["-accel", "tcg,thread=multi", "-cpu", "max"],
            Self::Icount => &[
                "-accel",
                "tcg,thread=single",
                "-icount",
                "shift=0,sleep=off",
                "-cpu",
                "max",
            ],
        }
    }
}

/// What works here: as `DAXSCOPE_ACCEL` says, else by trying once per boot of this machine.
pub fn choose(kernel: &Kernel) -> Result<Accel> {
    match std::env::var("DAXSCOPE_ACCEL").as_deref() {
        Ok("kvm") => return Ok(Accel::Kvm),
        Ok("tcg") => return Ok(Accel::Tcg),
        Ok(other) => bail!("DAXSCOPE_ACCEL={other:?} is not known: use kvm or tcg"),
        Err(_) => {}
    }
    // Not remembered: joining the group kvm changes it.
    if fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_err()
    {
        return Ok(Accel::Tcg);
    }
    let dir = cache::dir()?.join("accel");
    let _lock = Lock::take(&dir)?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .context("cannot read this boot's id")?;
    let answer = dir.join(boot.trim());
    if let Ok(known) = fs::read_to_string(&answer) {
        return Ok(if known == "kvm" {
            Accel::Kvm
        } else {
            Accel::Tcg
        });
    }
    eprintln!("trying KVM once (up to {} s)", LIMIT.as_secs());
    let works = reaches_user_space(kernel, &dir.join("probe"))?;
    eprintln!(
        "KVM {}",
        if works {
            "works"
        } else {
            "does not run a guest here: using TCG, QEMU's own (slower) processor"
        }
    );
    fs::write(&answer, if works { "kvm" } else { "tcg" })
        .with_context(|| format!("cannot write {}", answer.display()))?;
    Ok(if works { Accel::Kvm } else { Accel::Tcg })
}

fn reaches_user_space(kernel: &Kernel, dir: &std::path::Path) -> Result<bool> {
    let spec = Spec {
        kernel: kernel.clone(),
        nvdimms: Nvdimms { sizes: vec![] },
        contents: Contents {
            command: Some("true".into()),
            ..Contents::default()
        },
        port: None,
        interactive: false,
        cpus: CPUS,
    };
    let mut guest = spec.start(dir, Accel::Kvm, Stdio::null())?;
    let start = Instant::now();
    while start.elapsed() < LIMIT && guest.child.try_wait()?.is_none() {
        sleep(Duration::from_millis(50));
    }
    let works = guest.exit_status() == Some(0);
    drop(guest);
    let _ = fs::remove_dir_all(dir);
    Ok(works)
}
