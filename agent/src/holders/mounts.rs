//! File systems that are mounted from a device, wherever a process sees them.

use std::{collections::HashSet, ffi::OsString, fs, path::Path};

use super::{numbers, users::Wanted};
use crate::text;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub device: String,
    /// Escaped.
    pub path: String,
    /// `ext4`, escaped.
    pub kind: String,
    /// A process that sees it there; `None` if we do.
    pub pid: Option<u32>,
}

/// The mounts that a process sees, unless one in the same mount namespace was asked before. None where that is not told:
/// whoever may not look at a process is counted by what it maps.
pub(super) fn of(
    process: &Path,
    pid: Option<u32>,
    wanted: &[Wanted],
    namespaces: &mut HashSet<OsString>,
) -> Vec<Mount> {
    let namespace = fs::read_link(process.join("ns/mnt"));
    let new = namespace.is_ok_and(|namespace| namespaces.insert(namespace.into()));
    if !new {
        return vec![];
    }
    let mounts = fs::read(process.join("mountinfo")).unwrap_or_default();
    let lines = mounts.split(|byte| *byte == b'\n');
    let mounts = lines.filter_map(|line| {
        let [number, path, kind] = parse(line)?;
        let number = numbers::parse(std::str::from_utf8(number).ok()?, 10)?;
        let of = |wanted: &&Wanted| wanted.numbers.contains(&number);
        Some(Mount {
            device: wanted.iter().find(of)?.device.clone(),
            path: text::foreign(&unescaped(path)),
            kind: text::foreign(kind),
            pid,
        })
    });
    mounts.collect()
}

/// Device number, place and file system, from
/// `36 35 98:0 /root /mnt/a\040b rw,noatime master:1 - ext4 /dev/pmem0 rw` (Documentation/filesystems/proc.rst, 3.5).
fn parse(line: &[u8]) -> Option<[&[u8]; 3]> {
    let mut columns = line.split(|byte| *byte == b' ');
    let number = columns.nth(2)?;
    let path = columns.nth(1)?;
    columns.find(|column| *column == b"-")?;
    Some([number, path, columns.next()?])
}

/// Without the escapes of `mangle` (`fs/seq_file.c`): `\040` is a blank.
fn unescaped(path: &[u8]) -> Vec<u8> {
    let mut bytes = vec![];
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| byte == b'\\');
        let digits = digits.and_then(|digits| str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() {
            &after[3..]
        } else {
            after
        };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_has_its_device_place_and_file_system() {
        let line = br"36 35 259:1 / /mnt/a\040b\134\033 rw,noatime master:1 shared:2 - ext4 /dev/pmem0p1 rw";
        let [number, path, kind] = parse(line).expect("a mount");
        assert_eq!((number, kind), (&b"259:1"[..], &b"ext4"[..]));
        assert_eq!(unescaped(path), b"/mnt/a b\\\x1b");
        assert_eq!(parse(b"36 35 259:1 / /mnt rw"), None);
        assert_eq!(unescaped(br"\04 \999"), br"\04 \999");
    }
}
