//! Files that were read, so that it can be seen when one changes.

use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::config;

/// Files, each as it was right before it was read.
#[derive(Debug, Default)]
pub struct Files(Vec<(PathBuf, Stamp)>);

/// What changes when a file is written or replaced: inode, size, times; `None` where it cannot be had.
type Stamp = Option<[i64; 6]>;

impl Files {
    /// Reads a file and notes it, also if that fails.
    ///
    /// # Errors
    /// As [`config::bytes`].
    pub fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.push((path.to_owned(), stamp(path)));
        config::bytes(path)
    }

    /// Whether one of them is not what was read.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.0.iter().any(|(path, then)| stamp(path) != *then)
    }

    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(path, _)| path.as_path())
    }
}

fn stamp(path: &Path) -> Stamp {
    let of = path.metadata().ok()?;
    let (inode, size) = (of.ino().cast_signed(), of.size().cast_signed());
    let times = [of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec()];
    Some([inode, size, times[0], times[1], times[2], times[3]])
}
