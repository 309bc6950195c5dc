//! Where this machine gets Debian from, read from its own apt sources (both formats of sources.list(5)).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Where Debian comes from on this machine.
#[derive(Debug, PartialEq)]
pub struct Mirror {
    pub uri: String,
    pub keyring: Option<String>,
}

/// The name of the Debian release that this machine runs, from os-release(5).
pub fn own_suite() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    text.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .context("/etc/os-release names no VERSION_CODENAME")
}

pub fn find() -> Result<Mirror> {
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

    fn mirror(uri: &str, keyring: Option<&str>) -> Mirror {
        Mirror {
            uri: uri.to_owned(),
            keyring: keyring.map(str::to_owned),
        }
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
            Some(mirror("http://mirror.example/debian", Some("/k.gpg")))
        );
        assert_eq!(
            one_line("deb http://mirror.example/debian/ stable main", "x"),
            Some(mirror("http://mirror.example/debian/", None))
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
            Some(mirror(
                "mirror+file:///etc/apt/mirrors/debian.list",
                keyring
            ))
        );
        assert_eq!(deb822(text, "bookworm"), None);
    }
}
