//! A file of keys and values.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use toml::de::DeTable;

use super::{
    Config, Error,
    keys::{self, KEYS},
    origin::Origin,
    raw::Raw,
};

/// More than that is not a configuration.
const LARGEST: u64 = 1 << 20;

/// Sets what stands in a file.
pub(super) fn apply(
    path: &Path,
    text: &str,
    config: &mut Config,
    origins: &mut [Origin],
) -> Result<(), Error> {
    let name = path.display();
    let line = |at: usize| line(text.as_bytes(), at);
    let table = DeTable::parse(text).map_err(|error| {
        let line = line(error.span().map_or(0, |span| span.start));
        let shown: String = text
            .lines()
            .nth(line - 1)
            .unwrap_or_default()
            .trim()
            .chars()
            .take(60)
            .collect();
        Error::new(format!("{name}:{line}: {}: {shown}", error.message()))
    })?;
    // In the order of lines: the first that is wrong is told.
    let mut pairs: Vec<_> = table.get_ref().iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    let folder = path.parent().unwrap_or(Path::new("/"));
    for (key, value) in pairs {
        let (word, line) = (key.get_ref().as_ref(), line(key.span().start));
        let wrong = |words: String| Error::new(format!("{name}:{line}: {word}{words}"));
        let Some(index) = KEYS.iter().position(|key| key.name == word) else {
            let table = value.get_ref().is_table();
            return Err(wrong(if table && keys::meant(word).is_none() {
                " is a table: keys stand without one".into()
            } else {
                format!(" is no key{}", keys::hint(word))
            }));
        };
        let raw = Raw::Toml(value.get_ref(), folder);
        let set = KEYS[index].field.set(config, &raw);
        set.map_err(|words| wrong(format!(": {words}")))?;
        origins[index] = Origin::File(path.to_owned(), line);
    }
    Ok(())
}

/// The text of a file; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, Error> {
    let wrong = |words: String| Error::new(format!("{}: {words}", path.display()));
    let bytes = match bytes(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(format!("cannot be read: {error}"))),
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = line(error.as_bytes(), error.utf8_error().valid_up_to());
        wrong(format!("line {line} is not UTF-8"))
    })?;
    Ok(Some(text))
}

/// What is in a file that somebody named: it ends, and is not waited for.
///
/// # Errors
/// As [`std::fs::read`]; and for what is no file, or larger than 1 MiB.
pub fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    // Nobody need write to what is a pipe.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let kind = file.metadata()?.file_type();
    // /dev/null is often said for nothing.
    if !kind.is_file() && !kind.is_char_device() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = vec![];
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!(
            "it is larger than {LARGEST} bytes"
        )));
    }
    Ok(bytes)
}

/// On which line a byte is, from 1.
fn line(text: &[u8], at: usize) -> usize {
    let before = &text[..at.min(text.len())];
    before.split(|byte| *byte == b'\n').count()
}

/// Drop-ins beside a file, by name: `daxscope.toml.d/*.toml`.
pub(super) fn beside(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut folder = path.as_os_str().to_owned();
    folder.push(".d");
    let wrong =
        |error: &io::Error| Error::new(format!("{}: cannot be read: {error}", folder.display()));
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        // /dev/null.d, of --config /dev/null, too.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(wrong(&error)),
    };
    let mut files = vec![];
    for entry in entries {
        let path = entry.map_err(|error| wrong(&error))?.path();
        // Not what an editor or dpkg leaves beside it.
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|end| end == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
