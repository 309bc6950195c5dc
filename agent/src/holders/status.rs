//! What device a file is on, and what device it is, without waiting for anybody.

use std::{
    ffi::CString,
    io::{Error, Result},
    mem::MaybeUninit,
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use super::numbers::Number;

/// Of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// What the file system is on.
    pub on: Number,
    /// What it is itself; `None` unless it is a device file.
    pub is: Option<Number>,
}

/// Follows links. Does not ask a server for a file of its, nor mount anything: both may take forever.
///
/// # Errors
/// As `statx(2)`.
pub fn status(path: &Path) -> Result<Status> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut status = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the path ends in a zero byte, and there is room for the answer.
    let result = unsafe {
        libc::statx(
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_STATX_DONT_SYNC | libc::AT_NO_AUTOMOUNT,
            libc::STATX_TYPE,
            status.as_mut_ptr(),
        )
    };
    if result != 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: zeros are a valid value of this plain structure, and the kernel has filled it in.
    let status = unsafe { status.assume_init() };
    let kind = u32::from(status.stx_mode) & libc::S_IFMT;
    let device = kind == libc::S_IFCHR || kind == libc::S_IFBLK;
    Ok(Status {
        on: (status.stx_dev_major, status.stx_dev_minor),
        is: device.then_some((status.stx_rdev_major, status.stx_rdev_minor)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_file_has_its_number_and_others_have_none() {
        // Documentation/admin-guide/devices.txt
        let null = status(Path::new("/dev/null")).expect("status");
        assert_eq!(null.is, Some((1, 3)));
        let own = status(Path::new("/proc/self/exe")).expect("status");
        assert_eq!(own.is, None);
        assert!(status(Path::new("/proc/self/no such file")).is_err());
    }
}
