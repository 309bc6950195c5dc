//! A private view of one Debian suite: its own package lists and cache, at the mirror that this machine already uses.
//! Nothing is installed and the machine's own apt is not touched, so no root is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::{read_text, run};
use crate::mirror;

/// How old a package list may be before it is fetched again.
const FRESH: Duration = Duration::from_hours(24);

pub struct Suite {
    pub name: String,
    dir: PathBuf,
}

pub struct Package {
    pub version: String,
    pub depends: Vec<String>,
}

impl Suite {
    /// Keeps its state in `dir`, which outlasts the run.
    pub fn open(name: &str, dir: PathBuf) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(part))
                .with_context(|| format!("cannot create {}", dir.display()))?;
        }
        Ok(Self {
            name: name.to_owned(),
            dir,
        })
    }

    /// Fetches the package list, unless a fresh one is here.
    pub fn refresh(&self) -> Result<()> {
        let stamp = self.dir.join("refreshed");
        let age = fs::metadata(&stamp)
            .and_then(|file| file.modified())
            .ok()
            .and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age < FRESH) {
            return Ok(());
        }
        self.configure()?;
        // With this, an unreachable mirror is an error, and not a warning about old lists.
        read_text(self.apt("apt-get").args(["update", "-q", "--error-on=any"])).with_context(
            || {
                format!(
                    "cannot read Debian's suite {:?} from this machine's mirror",
                    self.name
                )
            },
        )?;
        fs::write(&stamp, "").with_context(|| format!("cannot write {}", stamp.display()))
    }

    /// The newest version of a package, and what it depends on (first alternatives).
    pub fn show(&self, package: &str) -> Result<Package> {
        let text = read_text(
            self.apt("apt-cache")
                .args(["show", "--no-all-versions", package]),
        )
        .with_context(|| format!("Debian's suite {:?} has no package {package}", self.name))?;
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        Ok(Package {
            version: field("Version")
                .with_context(|| format!("{package} has no version"))?
                .to_owned(),
            depends: field("Depends")
                .unwrap_or_default()
                .split(',')
                .filter_map(|one| one.split_whitespace().next())
                .map(str::to_owned)
                .collect(),
        })
    }

    /// Downloads packages and unpacks them, without installing anything. `into` appears whole or not at all.
    pub fn unpack(&self, packages: &[String], into: &Path) -> Result<()> {
        let work = self.dir.join("unpacking");
        let _ = fs::remove_dir_all(&work);
        let root = work.join("root");
        fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
        read_text(
            self.apt("apt-get")
                .args(["download", "-q"])
                .args(packages)
                .current_dir(&work),
        )
        .with_context(|| {
            format!(
                "cannot download {} from suite {:?}",
                packages.join(" "),
                self.name
            )
        })?;
        for entry in fs::read_dir(&work)? {
            let file = entry?.path();
            if file.extension().is_some_and(|end| end == "deb") {
                run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&root))?;
            }
        }
        fs::rename(&root, into)
            .with_context(|| format!("cannot move {} to {}", root.display(), into.display()))?;
        let _ = fs::remove_dir_all(&work);
        Ok(())
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .arg("-c")
            .arg(self.dir.join("apt.conf"))
            .env("LC_ALL", "C");
        command
    }

    fn configure(&self) -> Result<()> {
        let mirror = mirror::find()?;
        let keyring = mirror
            .keyring
            .map_or(String::new(), |file| format!(" signed-by={file}"));
        // target=, lang=: only the list of packages; a desktop's extra indexes would double the download.
        let list = format!(
            "deb [arch=amd64 target=Packages lang=none{keyring}] {} {} main\n",
            mirror.uri, self.name
        );
        let dir = self.dir.display();
        // The machine's own hooks are cleared: in container images one deletes every .deb that apt has just fetched.
        let conf = format!(
            "Dir::Etc::sourcelist \"{dir}/sources.list\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\n\
             Dir::State::Lists \"{dir}/lists\";\n\
             Dir::State::status \"/dev/null\";\n\
             Dir::Cache \"{dir}/cache\";\n\
             #clear APT::Architectures;\n\
             APT::Architecture \"amd64\";\n\
             APT::Sandbox::User \"root\";\n\
             #clear APT::Update::Pre-Invoke;\n\
             #clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n"
        );
        for (name, text) in [("sources.list", list), ("apt.conf", conf)] {
            let path = self.dir.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}
