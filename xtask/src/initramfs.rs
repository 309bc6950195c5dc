//! The guest's whole user space: busybox, the modules that a kernel needs for persistent memory, and our programs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{on_path, read, read_text};
use crate::cpio::Archive;
use crate::kernels::Kernel;

/// What every guest loads, in this order. Those that a kernel does not have are named in its log.
const MODULES: [&str; 5] = ["nfit", "nd_pmem", "dax_pmem", "device_dax", "null_blk"];

/// What a root file system on a disk of QEMU needs. ext4 asks for its checksum by another way than a dependency, where that is a
/// module of its own.
const ROOT_MODULES: [&str; 4] = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"];

const FOLDERS: [&str; 7] = ["proc", "sys", "dev", "tmp", "root", "host", "etc"];

/// What differs between guests.
#[derive(Clone, Default)]
pub struct Contents {
    /// Programs with the libraries they need; each goes to /bin under its own name.
    pub programs: Vec<PathBuf>,
    /// Modules beyond the usual ones.
    pub modules: Vec<String>,
    /// Mount the host's root on /host.
    pub host_root: bool,
    /// What to run, for a shell; without one it is an interactive shell.
    pub command: Option<String>,
    /// The image of a Debian that is started in place of busybox alone; it has libraries and tools of its own.
    pub debian: Option<PathBuf>,
    /// What is copied into that Debian: where to, and from where.
    pub files: Vec<(PathBuf, PathBuf)>,
}

pub fn build(kernel: &Kernel, contents: &Contents) -> Result<Vec<u8>> {
    if contents.debian.is_some() {
        return build_for_debian(kernel, contents);
    }
    let mut archive = Archive::default();
    for folder in FOLDERS {
        archive.directory(folder);
    }
    archive.file("init", include_bytes!("init.sh"));
    let busybox = on_path("busybox").context("no busybox: run `cargo xtask setup`")?;
    add_program(&mut archive, &busybox)?;
    for program in &contents.programs {
        add_program(&mut archive, program)?;
    }
    let mut modules: Vec<&str> = MODULES.to_vec();
    modules.extend(contents.modules.iter().map(String::as_str));
    add_modules(&mut archive, kernel, &modules)?;
    if contents.host_root {
        archive.file("etc/daxscope/host", b"");
    }
    if let Some(command) = &contents.command {
        archive.file("etc/daxscope/command", command.as_bytes());
    }
    Ok(archive.finish())
}

/// What comes before a Debian's own init, and goes into it from folder `debian`.
fn build_for_debian(kernel: &Kernel, contents: &Contents) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in FOLDERS {
        archive.directory(folder);
    }
    archive.file("init", include_bytes!("init-debian.sh"));
    let busybox = on_path("busybox").context("no busybox: run `cargo xtask setup`")?;
    add_program(&mut archive, &busybox)?;
    let mut modules: Vec<&str> = MODULES.to_vec();
    modules.extend(ROOT_MODULES);
    modules.extend(contents.modules.iter().map(String::as_str));
    add_modules(&mut archive, kernel, &modules)?;
    let debian = Path::new("debian");
    archive.file(
        debian.join("etc/systemd/system/daxscope-guest.service"),
        include_bytes!("guest.service"),
    );
    let own = debian.join("etc/daxscope-guest");
    archive.file(own.join("start"), include_bytes!("guest-start.sh"));
    if let Some(command) = &contents.command {
        archive.file(own.join("command"), command.as_bytes());
    }
    let bin = Path::new("usr/local/bin");
    let programs = contents.programs.iter().filter_map(|program| {
        let name = program.file_name()?;
        Some((bin.join(name), program.clone()))
    });
    for (there, here) in programs.chain(contents.files.iter().cloned()) {
        let content = fs::read(&here).with_context(|| format!("cannot read {}", here.display()))?;
        archive.file(debian.join(there), &content);
    }
    Ok(archive.finish())
}

fn add_program(archive: &mut Archive, program: &Path) -> Result<()> {
    let name = program
        .file_name()
        .with_context(|| format!("{} is not a program", program.display()))?;
    let content =
        fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    archive.file(Path::new("bin").join(name), &content);
    for library in libraries(program)? {
        let content =
            fs::read(&library).with_context(|| format!("cannot read {}", library.display()))?;
        archive.file(&library, &content);
    }
    Ok(())
}

/// The shared libraries and the loader, from the lines of ldd: `NAME => PATH (ADDRESS)` and `PATH (ADDRESS)`.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd")
        .arg(program)
        .env("LC_ALL", "C")
        .output()
        .context("cannot start ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if let Some(line) = text.lines().find(|line| line.contains("not found")) {
        bail!(
            "{} needs a library that is not here: {}",
            program.display(),
            line.trim()
        );
    }
    // A static program has no such line (and ldd fails on it).
    Ok(text
        .lines()
        .filter_map(|line| {
            let line = line.trim();
            let path = line
                .split_once(" => ")
                .map_or(line, |(_, path)| path)
                .split(" (")
                .next()?;
            path.starts_with('/').then(|| path.into())
        })
        .collect())
}

/// Adds modules with what they depend on, and the `modules.dep` that lets modprobe load them in order.
fn add_modules(archive: &mut Archive, kernel: &Kernel, wanted: &[&str]) -> Result<()> {
    let files = module_files(&kernel.modules)?;
    let home = Path::new("lib/modules").join(&kernel.release);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut open: Vec<String> = wanted.iter().map(|name| name.replace('-', "_")).collect();
    while let Some(name) = open.pop() {
        let Some(file) = files.get(&name).filter(|_| !found.contains_key(&name)) else {
            continue;
        };
        let depends = depends(file)?;
        open.extend(depends.iter().cloned());
        archive.file(home.join(format!("{name}.ko")), &plain(file)?);
        found.insert(name, depends);
    }
    let mut dep = String::new();
    for name in found.keys() {
        // modules.dep lists all that is needed, the last to be loaded first.
        let mut all: Vec<&str> = Vec::new();
        closure(name, &found, &mut all);
        let needs: Vec<String> = all
            .iter()
            .rev()
            .skip(1)
            .map(|name| format!("{name}.ko"))
            .collect();
        let _ = writeln!(dep, "{name}.ko: {}", needs.join(" "));
    }
    archive.file(home.join("modules.dep"), dep.as_bytes());
    let builtin = fs::read_to_string(kernel.modules.join("modules.builtin")).unwrap_or_default();
    let builtin: Vec<String> = builtin
        .lines()
        .map(|line| module_name(Path::new(line)))
        .collect();
    let list: String = wanted
        .iter()
        .filter(|name| !builtin.contains(&name.replace('-', "_")))
        .flat_map(|name| [*name, "\n"])
        .collect();
    archive.file("etc/daxscope/modules", list.as_bytes());
    Ok(())
}

/// `name` and all it needs, each once, what is needed before what needs it.
fn closure<'a>(name: &'a str, depends: &'a BTreeMap<String, Vec<String>>, into: &mut Vec<&'a str>) {
    let Some(needs) = depends.get(name).filter(|_| !into.contains(&name)) else {
        return;
    };
    for need in needs {
        closure(need, depends, into);
    }
    into.push(name);
}

/// Every module of a kernel by name. Debian's packages bring no modules.dep (depmod makes it when they are installed).
fn module_files(dir: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    let mut open = vec![dir.join("kernel")];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else if entry.file_name().to_string_lossy().contains(".ko") {
                files.insert(module_name(&entry.path()), entry.path());
            }
        }
    }
    Ok(files)
}

/// `kernel/drivers/dax/device-dax.ko.xz` is `device_dax`.
fn module_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.split(".ko")
        .next()
        .unwrap_or_default()
        .replace('-', "_")
}

fn depends(module: &Path) -> Result<Vec<String>> {
    let modinfo = on_path("modinfo").context("no modinfo: run `cargo xtask setup`")?;
    let text = read_text(Command::new(modinfo).args(["-F", "depends"]).arg(module))?;
    Ok(text
        .trim()
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect())
}

/// A module's content, unpacked: busybox cannot load compressed ones.
fn plain(module: &Path) -> Result<Vec<u8>> {
    match module.extension().and_then(|end| end.to_str()) {
        Some("ko") => fs::read(module).with_context(|| format!("cannot read {}", module.display())),
        Some("xz") => read(Command::new("xz").arg("-dc").arg(module)),
        Some("gz") => read(Command::new("gzip").arg("-dc").arg(module)),
        Some("zst") => read(Command::new("zstd").arg("-dcq").arg(module))
            .context("this kernel's modules need Debian's package zstd"),
        _ => bail!(
            "{}: compressed in a way that is not known here",
            module.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, Path, closure, module_name};

    #[test]
    fn a_module_comes_after_all_it_needs() {
        let depends = BTreeMap::from([
            (
                "device_dax".to_owned(),
                vec!["dax_bus".to_owned(), "libnvdimm".to_owned()],
            ),
            ("dax_bus".to_owned(), vec!["libnvdimm".to_owned()]),
            ("libnvdimm".to_owned(), vec![]),
        ]);
        let mut order = Vec::new();
        closure("device_dax", &depends, &mut order);
        assert_eq!(order, ["libnvdimm", "dax_bus", "device_dax"]);
    }

    #[test]
    fn names_of_modules() {
        assert_eq!(
            module_name(Path::new("kernel/drivers/dax/device-dax.ko.xz")),
            "device_dax"
        );
        assert_eq!(module_name(Path::new("kernel/fs/9p/9p.ko")), "9p");
    }
}
