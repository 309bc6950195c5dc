//! A private view of one Debian suite: its own package lists and cache, at the mirror that this machine already uses.
//! Nothing is installed and the machine's own apt is not touched, so no root is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{read_text, run};

/// How old a package list may be before it is fetched again.
const FRESH: Duration = Duration::from_secs(24 * 3600);

pub struct Suite {
    pub name: String,
    dir: PathBuf,
}

/// Where Debian comes from on this machine.
#[derive(Debug, PartialEq)]
struct Mirror {
    uri: String,
    keyring: Option<String>,
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
        let mirror = mirror()?;
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

/// The name of the Debian release that this machine runs, from os-release(5).
pub fn own_suite() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    text.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .context("/etc/os-release names no VERSION_CODENAME")
}

fn mirror() -> Result<Mirror> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(parts) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(parts.filter_map(|part| Some(part.ok()?.path())));
    }
    files.sort();
    let own = own_suite().unwrap_or_default();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        let found = match file.extension().and_then(|end| end.to_str()) {
            Some("list") => one_line(&text, &own),
            Some("sources") => deb822(&text, &own),
            _ => None,
        };
        if let Some(mut mirror) = found {
            // Without a keyring of its own an entry trusts /etc/apt/trusted.gpg.d, which newer releases leave empty.
            mirror.keyring = mirror
                .keyring
                .filter(|file| file.starts_with('/'))
                .or_else(|| {
                    ["gpg", "pgp"]
                        .map(|end| format!("/usr/share/keyrings/debian-archive-keyring.{end}"))
                        .into_iter()
                        .find(|file| Path::new(file).exists())
                });
            return Ok(mirror);
        }
    }
    bail!(
        "found no Debian mirror in /etc/apt/sources.list or /etc/apt/sources.list.d; \
         name a folder with an unpacked kernel instead (--kernel DIR), or add a `deb` line for Debian's main"
    )
}

/// Debian itself: not a vendor's repository, not the security archive (which holds no other suites).
fn is_debian(uri: &str, suite: &str, own: &str) -> bool {
    let known = ["stable", "oldstable", "testing", "unstable", "sid"];
    !uri.starts_with("cdrom:")
        && !uri.trim_end_matches('/').ends_with("-security")
        && (suite == own || known.contains(&suite))
}

/// `deb [option=value …] URI SUITE COMPONENT…`, see sources.list(5).
fn one_line(text: &str, own: &str) -> Option<Mirror> {
    text.lines().find_map(|line| {
        let rest = line
            .split('#')
            .next()?
            .trim()
            .strip_prefix("deb ")?
            .trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        let keyring = options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="));
        (is_debian(uri, suite, own) && words.any(|word| word == "main")).then(|| Mirror {
            uri: uri.to_owned(),
            keyring: keyring.map(str::to_owned),
        })
    })
}

/// Stanzas of `Types: URIs: Suites: Components:`, see sources.list(5).
fn deb822(text: &str, own: &str) -> Option<Mirror> {
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| [line, "\n"])
        .collect();
    text.split("\n\n").find_map(|stanza| {
        let field = |name: &str| {
            stanza.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let has = |name, word| {
            field(name).is_some_and(|value| value.split_whitespace().any(|one| one == word))
        };
        if !has("Types", "deb") || !has("Components", "main") || has("Enabled", "no") {
            return None;
        }
        let uri = field("URIs")?.split_whitespace().next()?;
        field("Suites")?
            .split_whitespace()
            .any(|suite| is_debian(uri, suite, own))
            .then(|| Mirror {
                uri: uri.to_owned(),
                keyring: field("Signed-By").map(str::to_owned),
            })
    })
}

#[cfg(test)]
mod tests {
    use super::{Mirror, deb822, one_line};

    fn mirror(uri: &str, keyring: Option<&str>) -> Option<Mirror> {
        Some(Mirror {
            uri: uri.to_owned(),
            keyring: keyring.map(str::to_owned),
        })
    }

    #[test]
    fn the_mirror_of_a_one_line_list() {
        let text = "# deb http://no.example/debian bookworm main\n\
                    deb cdrom:[Debian 12]/ bookworm main\n\
                    deb http://vendor.example/apt vendor main\n\
                    deb http://security.example/debian-security bookworm-security main\n\
                    deb-src http://mirror.example/debian bookworm main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm contrib main # note\n";
        assert_eq!(
            one_line(text, "bookworm"),
            mirror("http://mirror.example/debian", Some("/k.gpg"))
        );
        assert_eq!(
            one_line("deb http://mirror.example/debian/ stable main", "x"),
            mirror("http://mirror.example/debian/", None)
        );
        assert_eq!(
            one_line(
                "deb http://mirror.example/debian bookworm contrib",
                "bookworm"
            ),
            None
        );
    }

    #[test]
    fn the_mirror_of_a_deb822_file() {
        let text = "Types: deb\nURIs: http://vendor.example/apt\nSuites: nodistro\nComponents: main\n\n\
                    Types: deb\nURIs: http://off.example/debian\nSuites: trixie\nComponents: main\nEnabled: no\n\n\
                    # the real one\n\
                    Types: deb deb-src\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: trixie trixie-updates\n\
                    Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n";
        let keyring = Some("/usr/share/keyrings/debian-archive-keyring.gpg");
        assert_eq!(
            deb822(text, "trixie"),
            mirror("mirror+file:///etc/apt/mirrors/debian.list", keyring)
        );
        assert_eq!(deb822(text, "bookworm"), None);
    }
}
