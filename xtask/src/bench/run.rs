//! One guest that measures: booted, listened to, judged by its end.

use std::fs;
use std::process::Stdio;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::reading::{self, Reading};
use crate::accel::Accel;
use crate::initramfs::Contents;
use crate::kernels::Kernel;
use crate::proof::{lines_of, print_tail};
use crate::qemu::{Guest, KERNEL_LOG, Spec};
use crate::target_dir;
use crate::verdict::complaints;
use crate::vm::{self, Nvdimms, Size};

/// What a guest is asked.
pub struct Ask<'a> {
    /// `--part` of `xtask guest bench`.
    pub parts: &'a [&'a str],
    /// Before memory is looked at again.
    pub scrapes: u32,
    pub cpus: u32,
    /// Devices: one of a GiB, the others small.
    pub devices: usize,
    /// Tools of this machine watch, too.
    pub peers: bool,
    /// Each figure is printed as it comes.
    pub aloud: bool,
}

impl<'a> Ask<'a> {
    /// One part, with nobody else. As many devices as ever: counts may depend on how many pagemaps there are.
    pub fn plain(part: &'a &'a str, cpus: u32) -> Ask<'a> {
        Ask {
            parts: std::slice::from_ref(part),
            scrapes: 0,
            cpus,
            devices: DEVICES,
            peers: false,
            aloud: false,
        }
    }
}

/// As the target of a scrape says.
pub const DEVICES: usize = 16;

/// A guest that is well needs a few minutes.
const LIMIT: Duration = Duration::from_mins(40);
/// To user space, on a busy machine; seconds are usual. 6.1 on two CPUs waits for the second for ever.
const BOOT_LIMIT: Duration = Duration::from_mins(2);
/// The kernel's last line before user space (init/main.c).
const BOOTED: &str = "as init process";
const LOOK: Duration = Duration::from_secs(5);
const GIB: Size = Size { mebibytes: 1024 };
const SMALL: Size = Size { mebibytes: 128 };

/// All that the guest could measure; an error if it did not end as it should.
pub fn guest(kernel: &Kernel, ask: &Ask) -> Result<Vec<Reading>> {
    let mut programs = vm::programs()?;
    programs.push(vm::agent()?);
    let mut sizes = vec![GIB];
    sizes.resize(ask.devices, SMALL);
    let spec = Spec {
        kernel: kernel.clone(),
        nvdimms: Nvdimms { sizes },
        contents: Contents {
            programs,
            host_root: ask.peers,
            command: Some(format!(
                "xtask guest bench --scrapes {} --part {}",
                ask.scrapes,
                ask.parts.join(",")
            )),
            ..Contents::default()
        },
        port: None,
        interactive: false,
        cpus: ask.cpus,
    };
    let dir = target_dir()?
        .join("guest")
        .join(format!("cost-{}-{}", kernel.name, ask.cpus));
    let _ = fs::remove_dir_all(&dir);
    let begun = Instant::now();
    let mut guest = spec.start(&dir, Accel::Icount, Stdio::piped())?;
    let output = guest.child.stdout.take().context("QEMU has no stdout")?;
    let lines = lines_of(output, &guest.file("console.log"))?;
    let mut readings = Vec::new();
    loop {
        match lines.recv_timeout(LOOK) {
            Ok(line) => {
                if let Some(reading) = reading::read_line(&line, &guest.nonce) {
                    let reading = reading?;
                    if ask.aloud {
                        println!("{:16}  {reading}", kernel.name);
                    }
                    readings.push(reading);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                ensure!(
                    begun.elapsed() < LIMIT,
                    "the guest did not end within {LIMIT:?}; its logs are in {}",
                    dir.display()
                );
                ensure!(
                    begun.elapsed() < BOOT_LIMIT || kernel_log(&guest).contains(BOOTED),
                    "this kernel does not boot on {} CPUs whose clock counts instructions",
                    ask.cpus
                );
            }
        }
    }
    guest.wait()?;
    let complaints = complaints(&kernel_log(&guest));
    let exit = guest.exit_status();
    if exit != Some(0) || !complaints.is_empty() {
        print_tail(&kernel.name, &guest);
    }
    ensure!(
        exit == Some(0),
        "the guest ended with {exit:?}; its logs are in {}",
        dir.display()
    );
    ensure!(complaints.is_empty(), "{}", complaints.join("; "));
    ensure!(!readings.is_empty(), "the guest measured nothing");
    Ok(readings)
}

fn kernel_log(guest: &Guest) -> String {
    let log = fs::read(guest.file(KERNEL_LOG)).unwrap_or_default();
    String::from_utf8_lossy(&log).into_owned()
}
