//! The Debian package: what cargo built, laid out beside deploy/debian, and given to debhelper. Nothing is compiled by it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::command::{on_path, read, read_text, workspace};
use crate::{setup, target_dir, test, vm};

/// Make the Debian package in target/package, and let lintian judge it
#[derive(clap::Args)]
pub struct Args {
    /// If something is missing on this machine, list it and fail
    #[arg(long)]
    no_install: bool,
}

pub fn main(args: &Args) -> Result<ExitCode> {
    setup::ensure(&setup::Install {
        allowed: !args.no_install,
        tests: true,
        peers: false,
    })?;
    test::build_agent()?;
    let package = build(Version::This)?;
    println!("{}", lint(&package)?);
    println!("{}", package.display());
    Ok(ExitCode::SUCCESS)
}

/// Of the package.
#[derive(Clone, Copy)]
enum Version {
    This,
    /// One that sorts before, for the sake of an upgrade.
    Before,
}

impl Version {
    /// As Debian writes it: ours, and the first packaging of that.
    fn text(self) -> String {
        let own = env!("CARGO_PKG_VERSION");
        match self {
            Self::This => format!("{own}-1"),
            Self::Before => format!("{own}~before-1"),
        }
    }

    fn home(self) -> Result<PathBuf> {
        let home = target_dir()?.join("package");
        Ok(match self {
            Self::This => home,
            Self::Before => home.join("before"),
        })
    }

    fn file(self) -> Result<PathBuf> {
        let name = format!("daxscope_{}_amd64.deb", self.text());
        Ok(self.home()?.join(name))
    }
}

/// Packages that are there.
pub fn made() -> Result<Vec<PathBuf>> {
    let packages = [Version::Before.file()?, Version::This.file()?];
    Ok(packages.into_iter().filter(|file| file.is_file()).collect())
}

/// What the guests install, one version after the other; lintian has no error in it.
pub fn for_tests() -> Result<()> {
    build(Version::Before)?;
    println!("{}", lint(&build(Version::This)?)?);
    Ok(())
}

/// Packages the agent's release build.
fn build(version: Version) -> Result<PathBuf> {
    // debhelper leaves the package beside the folder that it works in.
    let stage = version.home()?.join("daxscope");
    let _ = fs::remove_dir_all(&stage);
    lay_out(&stage, &version.text())?;
    let mut rules = Command::new(stage.join("debian/rules"));
    rules
        .arg("binary")
        .current_dir(&stage)
        // The same commit gives the same package.
        .env("SOURCE_DATE_EPOCH", commit_time()?.trim())
        .env("DH_VERBOSE", "")
        .env("LC_ALL", "C.UTF-8");
    read(&mut rules).context("debhelper could not make the package")?;
    version.file()
}

/// lintian's verdict; an error of it is one of ours.
fn lint(package: &Path) -> Result<String> {
    let lintian = on_path("lintian").context("no lintian: run `cargo xtask setup`")?;
    let mut command = Command::new(lintian);
    command
        .args([
            "--allow-root",
            "--fail-on",
            "error",
            "--tag-display-limit",
            "0",
        ])
        .arg(package);
    let said = read_text(&mut command)?;
    let count = |letter: &str| said.lines().filter(|line| line.starts_with(letter)).count();
    Ok(format!(
        "{said}lintian: {} errors, {} warnings",
        count("E:"),
        count("W:")
    ))
}

/// Where files go in the folder that debhelper works in, from where.
const FILES: [(&str, &str); 12] = [
    ("debian/daxscope.service", "deploy/systemd/daxscope.service"),
    ("debian/daxscope.socket", "deploy/systemd/daxscope.socket"),
    ("debian/daxscope.tmpfiles", "deploy/systemd/tmpfiles.conf"),
    ("debian/daxscope.udev", "deploy/systemd/udev.rules"),
    ("sysusers.d/daxscope.conf", "deploy/systemd/sysusers.conf"),
    ("examples/kprobes.conf", "deploy/systemd/kprobes.conf"),
    (
        "examples/dynamic-user.conf",
        "deploy/systemd/dynamic-user.conf",
    ),
    (
        "examples/unix-socket.conf",
        "deploy/systemd/unix-socket.conf",
    ),
    ("etc/daxscope.toml", "deploy/daxscope.toml"),
    ("etc/web.yml", "deploy/web.yml"),
    ("README.md", "README.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
];
/// Folders that go along as examples.
const EXAMPLES: [&str; 2] = ["prometheus", "grafana"];

fn lay_out(stage: &Path, version: &str) -> Result<()> {
    let here = workspace();
    copy_folder(&here.join("deploy/debian"), &stage.join("debian"))?;
    for (there, from) in FILES {
        copy(&here.join(from), &stage.join(there))?;
    }
    for folder in EXAMPLES {
        let from = here.join("deploy").join(folder);
        if from.is_dir() {
            copy_folder(&from, &stage.join("examples").join(folder))?;
        }
    }
    let agent = vm::agent()?;
    copy(&agent, &stage.join("daxscope"))?;
    read(Command::new(&agent).arg("man").arg(stage.join("man")))?;
    for (shell, name) in [
        ("bash", "daxscope"),
        ("zsh", "_daxscope"),
        ("fish", "daxscope.fish"),
    ] {
        let script = read(Command::new(&agent).args(["completions", shell]))?;
        write(&stage.join("completions").join(name), &script)?;
    }
    write(
        &stage.join("debian/changelog"),
        changelog(version)?.as_bytes(),
    )
}

/// What Debian wants to know of a version; what changed is in our own changelog, which goes along.
fn changelog(version: &str) -> Result<String> {
    let date = read_text(
        Command::new("date")
            .args(["-R", "-u", "-d"])
            .arg(format!("@{}", commit_time()?.trim())),
    )?;
    Ok(format!(
        "daxscope ({version}) unstable; urgency=medium\n\n  * See /usr/share/doc/daxscope/changelog.gz.\n\n \
         -- daxscope maintainers <maintainers@daxscope.example>  {date}"
    ))
}

/// Seconds since 1970.
fn commit_time() -> Result<String> {
    read_text(
        Command::new("git")
            .args(["log", "-1", "--format=%ct"])
            .current_dir(workspace()),
    )
}

fn copy_folder(from: &Path, into: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let there = into.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &there)?;
        } else {
            copy(&entry.path(), &there)?;
        }
    }
    Ok(())
}

/// With its permissions: debian/rules is a program.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    write(to, &content)?;
    let mode = fs::metadata(from)?.permissions().mode() & 0o755;
    fs::set_permissions(to, fs::Permissions::from_mode(mode | 0o644))?;
    Ok(())
}

fn write(file: &Path, content: &[u8]) -> Result<()> {
    let Some(folder) = file.parent() else {
        bail!("{} is in no folder", file.display());
    };
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(file, content).with_context(|| format!("cannot write {}", file.display()))
}
