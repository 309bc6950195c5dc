//! The kernel's own list of BPF objects: which programs are loaded, whoever loaded them. Needs no tool in the guest.

use std::collections::BTreeMap;
use std::os::fd::{FromRawFd, OwnedFd};

use anyhow::{Result, ensure};
use libc::c_long;

// include/uapi/linux/bpf.h
const PROG_GET_NEXT_ID: c_long = 11;
const MAP_GET_NEXT_ID: c_long = 12;
const PROG_GET_FD_BY_ID: c_long = 13;
const OBJ_GET_INFO_BY_FD: c_long = 15;
/// `offsetof(struct bpf_prog_info, name)`, and the bytes of the name.
const NAME: usize = 64;
const NAME_BYTES: usize = 16;

pub fn programs() -> usize {
    ids(PROG_GET_NEXT_ID).len()
}

pub fn maps() -> usize {
    ids(MAP_GET_NEXT_ID).len()
}

/// How many programs of each name.
pub fn names() -> Result<BTreeMap<String, usize>> {
    let mut names = BTreeMap::new();
    for id in ids(PROG_GET_NEXT_ID) {
        // One that ended since its id was read has no name.
        if let Some(name) = name(id)? {
            *names.entry(name).or_default() += 1;
        }
    }
    Ok(names)
}

fn ids(command: c_long) -> Vec<u32> {
    // union bpf_attr { __u32 start_id; __u32 next_id; __u32 open_flags; }
    let mut attr = [0u32; 3];
    let mut found = Vec::new();
    while bpf(command, &mut attr) == 0 {
        found.push(attr[1]);
        attr[0] = attr[1];
    }
    found
}

fn name(id: u32) -> Result<Option<String>> {
    let fd = bpf(PROG_GET_FD_BY_ID, &mut [id, 0, 0]);
    let Ok(fd) = i32::try_from(fd) else {
        return Ok(None);
    };
    if fd < 0 {
        return Ok(None);
    }
    // SAFETY: the kernel just gave us this descriptor.
    let _program = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut info = [0u8; NAME + NAME_BYTES];
    // { __u32 bpf_fd; __u32 info_len; __aligned_u64 info; }
    let address = info.as_mut_ptr() as u64;
    let length = u32::try_from(info.len())?;
    let mut attr = [fd.cast_unsigned(), length, 0, 0];
    attr[2] = u32::try_from(address & u64::from(u32::MAX))?;
    attr[3] = u32::try_from(address >> 32)?;
    let rc = bpf(OBJ_GET_INFO_BY_FD, &mut attr);
    ensure!(
        rc == 0,
        "BPF_OBJ_GET_INFO_BY_FD: {}",
        std::io::Error::last_os_error()
    );
    let name = &info[NAME..];
    let end = name.iter().position(|byte| *byte == 0);
    let name = &name[..end.unwrap_or(NAME_BYTES)];
    Ok(Some(String::from_utf8_lossy(name).into_owned()))
}

fn bpf(command: c_long, attr: &mut [u32]) -> c_long {
    // SAFETY: `attr` has the size that is passed; what it points to, if anything, is as long as it says.
    unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of_val(attr)) }
}
