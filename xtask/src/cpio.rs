//! The archive format of an initramfs (cpio "newc", Documentation/driver-api/early-userspace/buffer-format.rst).
//! Written here, since the tool would need root for files that root owns, and a staging folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inode: u32,
    seen: BTreeSet<PathBuf>,
}

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_755;

impl Archive {
    pub fn directory(&mut self, path: impl AsRef<Path>) {
        self.add(path.as_ref(), DIRECTORY, b"");
    }

    /// Every file may be executed: the guest has one user, and most of these are programs.
    pub fn file(&mut self, path: impl AsRef<Path>, content: &[u8]) {
        self.add(path.as_ref(), FILE, content);
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, b"");
        self.bytes
    }

    /// Adds an entry and the folders above it, each once.
    fn add(&mut self, path: &Path, mode: u32, content: &[u8]) {
        let path = path.strip_prefix("/").unwrap_or(path);
        if path.as_os_str().is_empty() || self.seen.contains(path) {
            return;
        }
        if let Some(parent) = path.parent() {
            self.add(parent, DIRECTORY, b"");
        }
        self.seen.insert(path.to_owned());
        self.entry(&path.to_string_lossy(), mode, content);
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.inode += 1;
        let size = u32::try_from(content.len()).expect("a file of an initramfs is below 4 GiB");
        let name_size = u32::try_from(name.len() + 1).expect("a path is short");
        // inode mode uid gid links mtime size device(2) rdevice(2) name-size checksum
        let fields = [self.inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn an_archive_has_each_folder_once_and_ends_aligned() {
        let mut archive = Archive::default();
        archive.file("/bin/a", b"12345");
        archive.directory("/bin");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(
            text.matches("070701").count(),
            3,
            "bin, bin/a and the trailer"
        );
        assert!(text.contains("bin/a\0") && text.ends_with("TRAILER!!!\0\0\0\0"));
    }
}
