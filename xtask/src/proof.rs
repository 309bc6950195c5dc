//! All checks on one kernel, in one guest.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::accel::Accel;
use crate::initramfs::Contents;
use crate::kernels::Kernel;
use crate::qemu::{self, CPUS, Guest, Spec};
use crate::test::{Args, minutes, print_check};
use crate::verdict::{self, Check, End, Line, Outcome};
use crate::vm::{self, Nvdimms};
use crate::{setup, target_dir};

/// Under TCG on a busy machine; a guest that is well needs a few minutes.
const GUEST_LIMIT: Duration = Duration::from_mins(30);

/// Runs all checks on one kernel.
pub fn of(kernel: &Kernel, args: &Args, accel: Accel) -> Result<Vec<Check>> {
    let mut contents = Contents {
        programs: vm::programs()?,
        ..Contents::default()
    };
    contents.programs.push(vm::agent()?);
    let quick = if args.quick { " --quick" } else { "" };
    contents.command = Some(format!("xtask guest checks{quick}"));
    let spec = Spec {
        kernel: kernel.clone(),
        nvdimms: args.nvdimms.clone(),
        contents,
        port: None,
        interactive: false,
        cpus: CPUS,
    };
    let dir = target_dir()?.join("guest").join(&kernel.name);
    let mut ended = run(&spec, &dir, accel)?;
    let exposition = promtool(
        &fs::read(ended.guest.file(qemu::RESULTS)).unwrap_or_default(),
        &ended.guest.nonce,
    );
    let exposition = match exposition {
        Ok(said) => Check::new("exposition", "promtool", Outcome::Pass, said),
        Err(error) => {
            let error = format!("{error:#}");
            Check::new("exposition", "promtool", Outcome::Fail, error)
        }
    };
    print_check(&kernel.name, &exposition);
    ended.checks.push(exposition);
    Ok(ended.checks(kernel))
}

/// Where the image is built and run too. podman takes an emulated guest a minute, and three where two share two cores; what
/// differs between kernels, the package shows on each.
const ENGINE_ON: &str = "trixie";

/// Runs the checks of the package, in a Debian with this kernel.
pub fn installed(kernel: &Kernel, accel: Accel) -> Result<Vec<Check>> {
    let part = if kernel.name == ENGINE_ON {
        ""
    } else {
        " --part package"
    };
    let mut contents = Contents {
        command: Some(format!("xtask guest installed{part}")),
        ..Contents::default()
    };
    vm::installable(&mut contents)?;
    let spec = Spec {
        kernel: kernel.clone(),
        // A region is made on the first; every one takes udev its time.
        nvdimms: Nvdimms::of(&[1024]),
        contents,
        port: None,
        interactive: false,
        cpus: CPUS,
    };
    let dir = target_dir()?
        .join("guest")
        .join(format!("{}-debian", kernel.name));
    Ok(run(&spec, &dir, accel)?.checks(kernel))
}

/// A guest that has ended.
struct Ended {
    guest: Guest,
    start: Instant,
    checks: Vec<Check>,
    faults: Vec<String>,
}

/// Boots a guest, shows each of its checks, and waits for its end.
fn run(spec: &Spec, dir: &Path, accel: Accel) -> Result<Ended> {
    let start = Instant::now();
    let kernel = &spec.kernel;
    let _ = fs::remove_dir_all(dir);
    println!("{:16}  ....  booting {}", kernel.name, kernel.release);
    let mut guest = spec.start(dir, accel, Stdio::piped())?;
    let output = guest.child.stdout.take().context("QEMU has no stdout")?;
    let lines = lines_of(output, &guest.file("console.log"))?;
    let mut checks = Vec::new();
    let mut result = None;
    let timed_out = loop {
        match lines.recv_timeout(GUEST_LIMIT.saturating_sub(start.elapsed())) {
            Ok(line) => match verdict::read_line(&line, &guest.nonce) {
                Line::Check(check) => {
                    print_check(&kernel.name, &check);
                    checks.push(check);
                }
                Line::Result(counts) => result = Some(counts),
                Line::Log(_) => {}
            },
            Err(RecvTimeoutError::Disconnected) => break false,
            Err(RecvTimeoutError::Timeout) => break true,
        }
    };
    let qemu_ok = !timed_out && guest.wait()?.success();
    let end = End {
        timed_out,
        qemu_ok,
        exit: guest.exit_status(),
        result,
    };
    let log = String::from_utf8_lossy(&fs::read(guest.file(qemu::KERNEL_LOG)).unwrap_or_default())
        .into_owned();
    let faults = verdict::faults(&end, &checks, &log);
    Ok(Ended {
        guest,
        start,
        checks,
        faults,
    })
}

impl Ended {
    /// What was proven, and how the guest ended.
    fn checks(mut self, kernel: &Kernel) -> Vec<Check> {
        let end = if self.faults.is_empty() {
            let detail = format!("{} after {}", kernel.release, minutes(self.start.elapsed()));
            Check::new("guest", "clean-end", Outcome::Pass, detail)
        } else {
            Check::new("guest", "clean-end", Outcome::Fail, self.faults.join("; "))
        };
        print_check(&kernel.name, &end);
        self.checks.push(end);
        if verdict::count(&self.checks)[1] > 0 {
            print_tail(&kernel.name, &self.guest);
        }
        self.checks
    }
}

/// Hands on what the guest prints, line by line, and keeps it in a file.
pub fn lines_of(output: impl Read + Send + 'static, log: &Path) -> Result<mpsc::Receiver<String>> {
    let mut log = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let _ = writeln!(log, "{line}");
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    Ok(receiver)
}

/// Prometheus' own opinion of every scrape that the guest left, each between two marks.
fn promtool(results: &[u8], nonce: &str) -> Result<String> {
    let text = String::from_utf8_lossy(results).replace('\r', "");
    let (begin, end) = (
        format!("DAXSCOPE-SCRAPE-BEGIN {nonce}\n"),
        format!("DAXSCOPE-SCRAPE-END {nonce}"),
    );
    let mut count = 0;
    for part in text.split(&begin).skip(1) {
        let (scrape, _) = part
            .split_once(&end)
            .context("a scrape that the guest left does not end")?;
        promtool_accepts(scrape)?;
        count += 1;
    }
    ensure!(count > 0, "the guest left no scrape");
    Ok(format!("accepts {count} scrapes"))
}

fn promtool_accepts(scrape: &str) -> Result<()> {
    let tool = setup::promtool()?.context("no promtool: run `cargo xtask setup`")?;
    let mut child = Command::new(&tool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", tool.display()))?;
    child
        .stdin
        .take()
        .context("promtool has no stdin")?
        .write_all(scrape.as_bytes())
        .context("promtool did not read")?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
    ensure!(output.status.success(), "promtool check metrics: {said}");
    Ok(())
}

pub fn print_tail(name: &str, guest: &Guest) {
    for file in ["console.log", "kernel.log", "qemu.log"] {
        let path = guest.file(file);
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("DAXSCOPE-CHECK") && !line.is_empty())
            .collect();
        if !lines.is_empty() {
            println!("{name}: the end of {}", path.display());
            for line in &lines[lines.len().saturating_sub(15)..] {
                println!("    {line}");
            }
        }
    }
}
