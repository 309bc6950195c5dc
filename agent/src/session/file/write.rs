//! Writing a recording while its session runs: what is written need not be kept.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use flate2::{Compression, write::GzEncoder};
use serde::Serialize;

use super::{Header, Line, Reading, VERSION, named};
use crate::session::{
    by::Value,
    recording::{About, State},
};

/// Writes to `FILE.partial`, which is `FILE` when it is whole.
pub struct Writer {
    path: PathBuf,
    partial: Partial,
    out: GzEncoder<BufWriter<File>>,
    keys: usize,
    states: usize,
}

impl Writer {
    /// Begins a file; one that is there is replaced, at the end, only with `force`.
    ///
    /// # Errors
    /// When it is there, or cannot be written.
    pub fn create(path: &Path, force: bool, about: &About) -> Result<Self> {
        free(path, force)?;
        let mut name = path.as_os_str().to_owned();
        name.push(".partial");
        let partial = Partial(name.into());
        if force {
            // If there is one.
            let _ = fs::remove_file(&partial.0);
        }
        // Through no link that somebody else has put there.
        let file = match File::create_new(&partial.0) {
            Ok(file) => file,
            Err(error) => {
                let name = named(&partial.0);
                partial.forget();
                if error.kind() == io::ErrorKind::AlreadyExists {
                    bail!(
                        "{name} is there: another session writes it, or was killed; in that case remove it, or use --force"
                    );
                }
                return Err(error).with_context(|| format!("cannot write {name}"));
            }
        };
        let mut writer = Self {
            path: path.to_owned(),
            partial,
            out: GzEncoder::new(BufWriter::new(file), Compression::default()),
            keys: 0,
            states: 0,
        };
        writer.line(&Header {
            daxscope_recording: VERSION,
        })?;
        writer.line(&Line::About(Cow::Borrowed(about)))?;
        Ok(writer)
    }

    /// Writes a reading. `keys` are all groups that were met until now, in the order of
    /// [`keys`](crate::session::recording::Recording::keys).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, keys: &[Vec<Value>], state: &State) -> Result<()> {
        for key in keys.iter().skip(self.keys) {
            self.line(&Line::Key(Cow::Borrowed(key)))?;
        }
        self.keys = keys.len();
        for (group, tally) in &state.changed {
            self.line(&Line::Change(*group, Cow::Borrowed(tally)))?;
        }
        self.line(&Line::State(Reading {
            at: state.at,
            changed: state.changed.len(),
            lost: Cow::Borrowed(&state.lost),
        }))?;
        self.states += 1;
        Ok(())
    }

    /// Ends the file and gives it its name. Without this, dropping the writer removes what was written.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.line(&Line::End {
            keys: self.keys,
            states: self.states,
        })?;
        let Self {
            path, partial, out, ..
        } = self;
        let whole = || -> io::Result<()> {
            let file = out
                .finish()?
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            fs::rename(&partial.0, &path)
        };
        whole().with_context(|| format!("cannot write {}", named(&path)))?;
        partial.forget();
        Ok(())
    }

    fn line(&mut self, line: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.out
            .write_all(&text)
            .with_context(|| format!("cannot write {}", named(&self.partial.0)))
    }
}

/// Whether a file may have this name.
fn free(path: &Path, force: bool) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot write {}", named(path))),
        // A device or a link would be replaced, not written to.
        Ok(there) if !there.is_file() => {
            bail!("{} is no regular file: name another with -o", named(path))
        }
        Ok(_) if force => Ok(()),
        Ok(_) => bail!(
            "{} is there: use --force to replace it, or name another with -o",
            named(path)
        ),
    }
}

/// A file that is removed when nobody wants it any more.
struct Partial(PathBuf);

impl Partial {
    /// It is not ours, or has another name now.
    fn forget(mut self) {
        self.0.clear();
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            // Nobody is left to tell that it stays.
            let _ = fs::remove_file(&self.0);
        }
    }
}
