//! The image: built by podman from the recipe that ships, run as the recipe says, and as a pod of the `DaemonSet` that ships.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{confined, host, pod, podman, service};
use crate::guest::objects;
use crate::guest::report::Figures;

/// What an image is built from (`SOURCES` in vm.rs).
const SOURCE: &str = "/source";
const RECIPE: &str = "/source/deploy/container/Containerfile";
const MANIFESTS: &str = "/source/deploy/kubernetes";

/// All that an image has: the program, and what `ldd` names for it.
const FILES: [&str; 5] = [
    "lib/x86_64-linux-gnu/libc.so.6",
    "lib/x86_64-linux-gnu/libgcc_s.so.1",
    "lib/x86_64-linux-gnu/libm.so.6",
    "lib64/ld-linux-x86-64.so.2",
    "usr/bin/daxscope",
];

/// As the recipe's comment says. The image that it starts from is this Debian's own shell, cp and mkdir, under that name: there is
/// no registry here.
pub fn image(figures: &mut Figures) -> Result<()> {
    podman::configure()?;
    let recipe = recipe()?;
    let base = recipe
        .lines()
        .find_map(|line| line.strip_prefix("FROM ")?.strip_suffix(" AS libraries"));
    let base = base.context("the recipe starts from nothing")?;
    host::run(&[
        "sh",
        "-euc",
        "cd /; tar -cf /tmp/base.tar bin lib lib64 usr/bin/sh usr/bin/dash usr/bin/cp usr/bin/mkdir \
         $(for file in /bin/sh /bin/cp /bin/mkdir /source/target/release/daxscope; do ldd $file; done | grep -o '/lib[^ ]*' | sort -u | \
           while read -r file; do echo usr$file; realpath usr$file | cut -c2-; done | sort -u)",
    ])?;
    host::run(&["podman", "import", "--quiet", "/tmp/base.tar", base])?;
    // Of what it keeps between steps nothing is used again here.
    let build = format!(
        "cd {SOURCE} && BUILDAH_LAYERS=false {}",
        said(&recipe, "podman build")?
    );
    host::run(&["sh", "-euc", &build])?;
    host::run(&["podman", "create", "--name=listed", "daxscope"])?;
    let list = host::run(&["sh", "-euc", "podman export listed | tar -t"])?;
    let mut files: Vec<_> = list.lines().filter(|name| !name.ends_with('/')).collect();
    files.sort_unstable();
    figures.equal("files", FILES.join(" "), files.join(" "));
    host::run(&["podman", "rm", "listed"]).map(drop)
}

/// As the recipe's comment says, but in the background and by a name.
pub fn run(figures: &mut Figures) -> Result<()> {
    let before = programs()?;
    let run = said(&recipe()?, "podman run")?;
    host::run(&["sh", "-euc", &named(&run, "alone")])?;
    serves(figures, "alone", service::region)?;
    host::run(&["podman", "stop", "alone"])?;
    ended(figures, "alone", before)
}

/// Under the profile of podman and CRI-O, which has not heard of `CAP_BPF`, it says what is in its way.
pub fn profile(figures: &mut Figures) -> Result<()> {
    let run = said(&recipe()?, "podman run")?;
    let usual = run.replace(" --security-opt seccomp=unconfined", "");
    figures.holds_quietly("the recipe asks for no profile", usual != run);
    let output = Command::new("sh").args(["-euc", &usual]).output()?;
    figures.equal("status", 1, output.status.code().unwrap_or(-1));
    let words = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = words.lines().collect();
    figures.equal("lines", 1, lines.len());
    let all = ["bpf", "Operation not permitted", "seccomp profile"];
    let said = all
        .iter()
        .all(|word| words.to_lowercase().contains(&word.to_lowercase()));
    figures.holds(words.trim(), said);
    Ok(())
}

/// The pod of the `DaemonSet`, by `podman kube play`.
pub fn pod(figures: &mut Figures) -> Result<()> {
    let (before, name) = (programs()?, "daxscope-daxscope");
    host::write(Path::new("/tmp/pod.yaml"), &pod::of(MANIFESTS)?)?;
    podman::configure_node()?;
    podman::play("/tmp/pod.yaml", &format!("{MANIFESTS}/configmap.yaml"))?;
    // The region is from before.
    let pid = serves(figures, name, service::named)?;
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
    for place in ["/", "/sys", "/etc/daxscope"] {
        figures.equal(place, "ro", access(&mounts, place)?);
    }
    let ids = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid"));
    let hosts = ids("self")? == ids(&pid.to_string())?;
    figures.holds("process ids are the host's", hosts);
    let group = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    // In the one hierarchy of version 2.
    let group = group.trim().strip_prefix("0::").context("no cgroup")?;
    let limit = fs::read_to_string(format!("/sys/fs/cgroup{group}/memory.max"))?;
    figures.equal("bytes of memory", 256 << 20, limit.trim().parse()?);
    host::run(&["podman", "pod", "stop", "daxscope"])?;
    ended(figures, name, before)
}

/// It may do what is promised, and counts what the kernel counts.
fn serves(
    figures: &mut Figures,
    name: &str,
    region: fn(&mut Figures) -> Result<()>,
) -> Result<u32> {
    let pid = podman::serving(name)?;
    figures.holds("its programs are in the kernel", programs()? > 0);
    confined::container(figures, pid)?;
    service::probes(figures)?;
    region(figures)?;
    service::counts(figures)?;
    Ok(pid)
}

fn ended(figures: &mut Figures, name: &str, programs_before: usize) -> Result<()> {
    let status = podman::inspect(name, ".State.ExitCode")?;
    figures.equal("status", "0", status.as_str());
    figures.equal("programs of ours", programs_before, programs()?);
    Ok(())
}

/// Ours that are in the kernel: engines and systemd have some there too.
fn programs() -> Result<usize> {
    let ours = ["fentry_", "fexit_", "kprobe_", "kretprobe_"];
    let names = objects::names()?;
    let of_ours = |name: &String| ours.iter().any(|start| name.starts_with(start));
    Ok(names
        .iter()
        .filter(|(name, _)| of_ours(name))
        .map(|(_, count)| count)
        .sum())
}

/// `ro` or `rw`, of what is mounted there in a mountinfo (`Documentation/filesystems/proc.rst`).
fn access<'a>(mounts: &'a str, place: &str) -> Result<&'a str> {
    let mut lines = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let mount = lines.find(|fields| fields.get(4) == Some(&place));
    let options = mount.and_then(|fields| fields.get(5).copied());
    let options = options.with_context(|| format!("nothing is mounted on {place}"))?;
    Ok(options.split(',').next().unwrap_or_default())
}

fn recipe() -> Result<String> {
    fs::read_to_string(RECIPE).with_context(|| format!("no {RECIPE}: boot with --debian"))
}

/// The command of the recipe's comment that starts so, over all its lines.
fn said(recipe: &str, start: &str) -> Result<String> {
    let mut lines = recipe
        .lines()
        .map_while(|line| line.strip_prefix('#'))
        .map(str::trim)
        .skip_while(|line| !line.starts_with(start));
    let mut command = String::new();
    for line in &mut lines {
        let Some(part) = line.strip_suffix('\\') else {
            return Ok(command + line);
        };
        command.push_str(part);
    }
    bail!("the recipe's comment has no whole `{start}`")
}

fn named(run: &str, name: &str) -> String {
    run.replace(" --rm", &format!(" --detach --name={name}"))
}
