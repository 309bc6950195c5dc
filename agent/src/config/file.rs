//! A file of keys and values.

use std::{
    fs::{self, File, OpenOptions},
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
            return Err(wrong(if table && !keys::near(word).contains("mean") {
                " is a table: keys stand without one".into()
            } else {
                format!(" is no key{}", keys::near(word))
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
    let name = path.display();
    let wrong = |words: &str| Error::new(format!("{name}: {words}"));
    // A pipe that nobody writes to must not stop us.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(&format!("cannot be read: {error}"))),
    };
    let text = text(&file).map_err(|words| wrong(&words))?;
    Ok(Some(text))
}

fn text(file: &File) -> Result<String, String> {
    let kind = file
        .metadata()
        .map_err(|error| format!("cannot be read: {error}"))?
        .file_type();
    // /dev/null is a file with nothing in it, and said so often.
    if !kind.is_file() && !kind.is_char_device() {
        return Err("is not a file".into());
    }
    let mut bytes = vec![];
    let read = file.take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("is larger than {LARGEST} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = line(error.as_bytes(), error.utf8_error().valid_up_to());
        format!("line {line} is not UTF-8")
    })
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
