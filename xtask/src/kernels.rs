//! Debian's kernels by suite (versions vanish from mirrors, suites stay), fetched without installing them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::apt::Suite;
use crate::cache::{self, Lock};

/// The kernels that every change is proven on.
pub const MATRIX: [&str; 4] = ["bullseye", "bookworm", "trixie", "trixie-backports"];

#[derive(Clone, Debug)]
pub struct Kernel {
    /// What the user called it: a suite or a folder's name.
    pub name: String,
    /// What `uname -r` will say.
    pub release: String,
    pub image: PathBuf,
    pub modules: PathBuf,
}

/// `which` is a suite, or a folder that holds an unpacked kernel.
pub fn get(which: &str) -> Result<Kernel> {
    ensure!(
        std::env::consts::ARCH == "x86_64",
        "guests are amd64 only so far: kernels, QEMU machine and initramfs are not made for {}",
        std::env::consts::ARCH
    );
    let folder = Path::new(which);
    if which.contains('/') || folder.is_dir() {
        let folder = fs::canonicalize(folder).with_context(|| format!("no folder {which}"))?;
        let name = folder.file_name().map_or_else(
            || which.to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        return in_folder(&name, &folder);
    }
    let home = cache::dir()?.join("kernels").join(which);
    let _lock = Lock::take(&home)?;
    match fetch(which, &home) {
        Ok(root) => in_folder(which, &root),
        Err(error) => {
            let Some(root) = newest_unpacked(&home) else {
                return Err(error.context(format!(
                    "no kernel for {which:?}: give a Debian suite (one of {}, or any other), or a folder with an unpacked kernel",
                    MATRIX.join(", ")
                )));
            };
            let kernel = in_folder(which, &root)?;
            eprintln!(
                "{which}: using the cached {}, since its suite cannot be read now: {error:#}",
                kernel.release
            );
            Ok(kernel)
        }
    }
}

/// The folder with the suite's newest kernel, downloaded if it is not here yet.
fn fetch(suite: &str, home: &Path) -> Result<PathBuf> {
    let apt = Suite::open(suite, home.join("apt"))?;
    apt.refresh()?;
    let (version, packages) = kernel_packages(&apt)?;
    let root = home.join(format!("kernel-{version}"));
    if !root.exists() {
        eprintln!("{suite}: downloading {}", packages.join(" "));
        apt.unpack(&packages, &root)?;
        for old in unpacked(home).filter(|other| *other != root) {
            let _ = fs::remove_dir_all(old);
        }
    }
    Ok(root)
}

/// The packages that hold the image and the modules. Up to 6.x `linux-image-VERSION` holds everything; later it is
/// empty and depends on `linux-binary-VERSION` and `linux-modules-VERSION`. So: follow the names, whichever they are.
fn kernel_packages(apt: &Suite) -> Result<(String, Vec<String>)> {
    let kernel_package = |name: &String| {
        ["linux-image-", "linux-binary-", "linux-modules-"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    let meta = apt.show("linux-image-amd64")?;
    let mut packages = BTreeSet::new();
    let mut open: Vec<String> = meta.depends.into_iter().filter(kernel_package).collect();
    while let Some(name) = open.pop() {
        if packages.contains(&name) {
            continue;
        }
        open.extend(apt.show(&name)?.depends.into_iter().filter(kernel_package));
        packages.insert(name);
    }
    ensure!(
        !packages.is_empty(),
        "linux-image-amd64 of suite {:?} depends on no kernel image",
        apt.name
    );
    Ok((meta.version, packages.into_iter().collect()))
}

fn unpacked(home: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(home).into_iter().flatten();
    entries.filter_map(|entry| {
        let entry = entry.ok()?;
        entry
            .file_name()
            .to_string_lossy()
            .starts_with("kernel-")
            .then(|| entry.path())
    })
}

fn newest_unpacked(home: &Path) -> Option<PathBuf> {
    unpacked(home).max_by_key(|path| fs::metadata(path).and_then(|file| file.modified()).ok())
}

/// Finds image and modules below a folder: `boot/vmlinuz-*` or `usr/lib/modules/*/vmlinuz`.
fn in_folder(name: &str, root: &Path) -> Result<Kernel> {
    for modules in ["usr/lib/modules", "lib/modules"] {
        for entry in fs::read_dir(root.join(modules)).into_iter().flatten() {
            let modules = entry?.path();
            let release = modules
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let images = [
                root.join(format!("boot/vmlinuz-{release}")),
                modules.join("vmlinuz"),
            ];
            if let Some(image) = images.into_iter().find(|image| image.is_file()) {
                return Ok(Kernel {
                    name: name.to_owned(),
                    release,
                    image,
                    modules,
                });
            }
        }
    }
    bail!(
        "{} holds no kernel: looked for lib/modules/VERSION with boot/vmlinuz-VERSION or lib/modules/VERSION/vmlinuz, \
         also below usr/ (what dpkg-deb -x makes of a kernel package)",
        root.display()
    )
}
