//! What the kernel itself says of the runs of our programs: how many there were, what it left out, and returns for which it
//! had no room.

use std::{
    collections::HashMap,
    fs,
    os::fd::{AsRawFd as _, BorrowedFd, RawFd},
};

use aya::programs::links::FdLink;
use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_link_info, bpf_perf_event_type, bpf_prog_info};

use super::attach::End;

/// One end of a point attached by kprobe, on a kernel that counts what that misses.
pub(super) struct Kprobe {
    pub(super) point: u32,
    pub(super) end: End,
    /// Keeps it attached.
    pub(super) link: FdLink,
    /// The link's own descriptor, which aya does not hand out; 0 until it is found.
    fd: RawFd,
}

impl Kprobe {
    pub(super) fn new(point: u32, end: End, link: FdLink) -> Self {
        Self {
            point,
            end,
            link,
            fd: 0,
        }
    }

    /// `bpf_link_info.perf_event.kprobe.missed` (6.7): the kprobe's own misses and, of a return, those for which its pool
    /// of instances was empty (`kretprobe.nmissed`).
    pub(super) fn missed(&self) -> Option<u64> {
        if self.fd == 0 {
            return None;
        }
        // SAFETY: found open under this number while the link that owns it was, which lives as long as we do.
        let fd = unsafe { BorrowedFd::borrow_raw(self.fd) };
        // SAFETY: a plain C struct of integers, for which zero is a value.
        let mut info = unsafe { std::mem::zeroed::<bpf_link_info>() };
        let known = info_by_fd(fd, &mut info)?;
        // SAFETY: a perf event's link was asked, so this member of the union was written.
        let event = unsafe { info.__bindgen_anon_1.perf_event };
        let kinds = [
            bpf_perf_event_type::BPF_PERF_EVENT_KPROBE as u32,
            bpf_perf_event_type::BPF_PERF_EVENT_KRETPROBE as u32,
        ];
        // SAFETY: of a kprobe, as its type says, this member was written.
        let kprobe = unsafe { event.__bindgen_anon_1.kprobe };
        (kinds.contains(&event.type_) && known >= size_of::<bpf_link_info>() - size_of::<u64>())
            .then_some(kprobe.missed)
    }
}

/// Finds the descriptors of links among our own: `/proc/self/fdinfo` names the link behind each.
pub(super) fn find(probes: &mut [Kprobe]) {
    let mut found = HashMap::new();
    for entry in fs::read_dir("/proc/self/fdinfo")
        .into_iter()
        .flatten()
        .flatten()
    {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let fd = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let (Some(id), Some(fd)) = (link_id(&text), fd) {
            found.insert(id, fd);
        }
    }
    for probe in probes {
        let id = probe.link.info().map(|info| info.id());
        probe.fd = id.ok().and_then(|id| found.get(&id)).copied().unwrap_or(0);
    }
}

/// From the text of a file of `/proc/self/fdinfo` (`bpf_link_show_fdinfo`, kernel/bpf/syscall.c).
fn link_id(text: &str) -> Option<u32> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("link_id:"))?;
    line.trim().parse().ok()
}

/// `bpf_prog_info.recursion_misses` of a program; `None` on kernels that do not know it (before 5.12).
pub(super) fn recursion(program: BorrowedFd) -> Option<u64> {
    let (info, known) = info(program)?;
    let needed = std::mem::offset_of!(bpf_prog_info, recursion_misses) + size_of::<u64>();
    (known >= needed).then_some(info.recursion_misses)
}

/// Runs of a program, and how long they took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runs {
    pub count: u64,
    pub nanoseconds: u64,
}

/// `bpf_prog_info.run_cnt` and `run_time_ns` of a program (5.1), which grow while somebody asks for statistics.
pub(super) fn runs(program: BorrowedFd) -> Option<Runs> {
    let (info, known) = info(program)?;
    let needed = std::mem::offset_of!(bpf_prog_info, run_cnt) + size_of::<u64>();
    (known >= needed).then_some(Runs {
        count: info.run_cnt,
        nanoseconds: info.run_time_ns,
    })
}

/// What the kernel says of a program, and how many bytes of it.
fn info(program: BorrowedFd) -> Option<(bpf_prog_info, usize)> {
    // SAFETY: a plain C struct of integers, for which zero is a value.
    let mut info = unsafe { std::mem::zeroed::<bpf_prog_info>() };
    let known = info_by_fd(program, &mut info)?;
    Some((info, known))
}

/// Asks the kernel about an object of ours; returns how many bytes of the answer it knows.
fn info_by_fd<T>(fd: BorrowedFd, info: &mut T) -> Option<usize> {
    // SAFETY: a plain C union of integers, for which zero is a value.
    let mut attr = unsafe { std::mem::zeroed::<bpf_attr>() };
    // SAFETY: `info` is the member of the union that this command reads.
    let request = unsafe { &mut attr.info };
    request.bpf_fd = fd.as_raw_fd().unsigned_abs();
    request.info = std::ptr::from_mut(info) as u64;
    request.info_len = u32::try_from(size_of::<T>()).ok()?;
    // SAFETY: the kernel writes at most `info_len` bytes to `info`, which outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            bpf_cmd::BPF_OBJ_GET_INFO_BY_FD,
            &raw mut attr,
            size_of::<bpf_attr>(),
        )
    };
    // SAFETY: as above; the kernel wrote back how much it knows.
    let known = unsafe { attr.info.info_len };
    (result == 0).then_some(known as usize)
}

#[cfg(test)]
mod tests {
    use super::link_id;

    #[test]
    fn fdinfo_names_a_link() {
        let text = "pos:\t0\nflags:\t02000000\nlink_type:\tperf\nlink_id:\t17\nprog_tag:\t0011\nprog_id:\t42\n";
        assert_eq!(link_id(text), Some(17));
        assert_eq!(link_id("pos:\t0\nprog_id:\t42\n"), None);
    }
}
