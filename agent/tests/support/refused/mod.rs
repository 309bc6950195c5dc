//! Configurations that cannot be meant.

mod files;
mod flags;
mod names;
mod together;
mod values;
mod web;

use std::ffi::OsString;

use super::daemon::Folder;

/// One of them.
pub struct Case {
    /// What was done; another one in each.
    pub what: String,
    pub words: Vec<OsString>,
    pub variables: Vec<(OsString, OsString)>,
    /// What the line must name.
    pub names: Vec<String>,
}

impl Case {
    fn new(what: String, names: &[&str]) -> Self {
        Self {
            what,
            words: vec!["run".into()],
            variables: vec![("DAXSCOPE_BTF".into(), "/dev/null".into())],
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn words(mut self, words: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        let name = name.into();
        self.variables.retain(|(other, _)| *other != name);
        self.variables.push((name, value.into()));
        self
    }

    /// With no file, whatever this machine has.
    fn no_file(self) -> Self {
        self.words(["--config", "/dev/null"])
    }
}

/// A case whose file (the first) and drop-ins (the others) are these; its line names the `wrong`th of them, from 0, with a
/// place in it.
fn in_files(what: String, files: &[impl AsRef<[u8]>], wrong: usize, names: &[&str]) -> Case {
    let folder: String = what
        .chars()
        .map(|char| {
            if char.is_ascii_alphanumeric() {
                char
            } else {
                '-'
            }
        })
        .collect();
    let folder: String = folder.chars().take(80).collect();
    let folder = Folder::new(&format!("refused/{}-{folder}", number(&what)));
    let path = folder.configuration(files);
    let mut case = Case::new(what, names).words(["--config".into(), path.clone().into_os_string()]);
    let path = path.display();
    case.names.push(match wrong {
        0 => format!("{path}:"),
        n => format!("{path}.d/{n}0.toml:"),
    });
    case
}

/// A number of a text, always the same (FNV-1a).
fn number(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Numbers that look like chance, and are the same each time (splitmix64).
struct Chance(u64);

impl Chance {
    /// Below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap_or(0)
    }
}

/// All of them.
pub fn all() -> Vec<Case> {
    let lists = [
        values::types(),
        values::impossible(),
        names::misspelt(),
        files::broken(),
        files::none(),
        together::all(),
        flags::all(),
        web::all(),
    ];
    lists.into_iter().flatten().collect()
}
