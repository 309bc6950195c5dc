//! `cargo xtask demo`: from nothing to a table of what a real kernel does with three geometries of persistent memory.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::guest::scrape::Scrape;
use crate::initramfs::Contents;
use crate::qemu::{CPUS, Guest, Spec};
use crate::setup::{self, Install};
use crate::vm::{self, Machine};
use crate::{accel, kernels, proof, table, target_dir, test};

/// Boot a kernel with emulated persistent memory, measure it, and print one table
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask demo                               Debian trixie's kernel; all that is missing is installed first
  cargo xtask demo --kernel bookworm --keep      leave it serving, for a browser or a Prometheus on this machine
  cargo xtask demo --no-install                  only say what is missing")]
pub struct Args {
    #[command(flatten)]
    machine: Machine,
    /// Leave the guest serving /metrics on a loopback port until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// If something is missing on this machine, list it and fail
    #[arg(long)]
    no_install: bool,
}

/// Under TCG on a busy machine; usually it takes half a minute.
const LIMIT: Duration = Duration::from_mins(5);

pub fn main(args: Args) -> Result<ExitCode> {
    let progress = Progress(Instant::now());
    progress.say("looking for what is missing on this machine");
    setup::ensure(&Install {
        allowed: !args.no_install,
        tests: false,
        peers: false,
    })?;
    progress.say(&format!(
        "building the agent, and fetching the kernel of {}",
        args.machine.kernel
    ));
    let (kernel, built) = thread::scope(|scope| {
        let kernel = scope.spawn(|| kernels::get(&args.machine.kernel));
        let built = test::build_agent();
        (
            kernel.join().expect("fetching a kernel does not panic"),
            built,
        )
    });
    built?;
    let kernel = kernel?;
    let accel = accel::choose(&kernel)?;
    progress.say(&format!("booting {} on {accel:?}", kernel.release));
    let mut contents = Contents {
        programs: vm::programs()?,
        ..Contents::default()
    };
    contents.programs.push(vm::agent()?);
    contents.command = Some("xtask guest demo".to_owned());
    let port = free_port()?;
    let release = kernel.release.clone();
    let spec = Spec {
        kernel,
        nvdimms: args.machine.nvdimms,
        contents,
        port: Some(port),
        interactive: false,
        cpus: CPUS,
    };
    let dir = target_dir()?.join("guest/demo");
    let mut guest = spec.start(&dir, accel, Stdio::piped())?;
    wait_until_ready(&mut guest, &progress)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let scrape = Scrape::of(address).context("cannot scrape the agent from outside the guest")?;
    progress.say("scraped the agent from outside the guest");
    println!("\nLinux {release}\n");
    print!("{}", table::of(&scrape));
    if args.keep {
        println!("\nserving on http://{address}/metrics until Ctrl-C");
        guest.wait()?;
    }
    Ok(ExitCode::SUCCESS)
}

struct Progress(Instant);

impl Progress {
    fn say(&self, what: &str) {
        eprintln!("[{:>9}] {what}", test::minutes(self.0.elapsed()));
    }
}

/// The system chooses it. Nothing holds it until QEMU does, which then says so if somebody was faster.
fn free_port() -> Result<u16> {
    let socket =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot get a loopback port")?;
    Ok(socket.local_addr()?.port())
}

/// Shows what the guest says until it has made its regions and pinned its pages.
fn wait_until_ready(guest: &mut Guest, progress: &Progress) -> Result<()> {
    let output = guest.child.stdout.take().context("QEMU has no stdout")?;
    let lines = proof::lines_of(output, &guest.file("console.log"))?;
    let start = Instant::now();
    let ready = format!("DAXSCOPE-READY {}", guest.nonce);
    loop {
        match lines.recv_timeout(LIMIT.saturating_sub(start.elapsed())) {
            Ok(line) if line == ready => return Ok(()),
            Ok(line) => progress.say(&format!("guest: {line}")),
            Err(error) => {
                proof::print_tail("demo", guest);
                bail!(
                    "the guest did not become ready ({error}); its logs are in {}",
                    guest.file("").display()
                );
            }
        }
    }
}
