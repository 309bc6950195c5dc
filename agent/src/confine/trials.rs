//! Whether what is forbidden is refused, found out by trying it from inside at each start. Each call is one that would do no
//! harm if it were let through: its arguments are void.

use nix::errno::Errno;

use aya_obj::generated::bpf_cmd;

/// What is tried: a name for people, the call, its first arguments.
const TRIALS: [(&str, i64, [i64; 3]); 20] = [
    (
        "load a program",
        libc::SYS_bpf,
        [bpf_cmd::BPF_PROG_LOAD as i64, 0, 0],
    ),
    (
        "make a map",
        libc::SYS_bpf,
        [bpf_cmd::BPF_MAP_CREATE as i64, 0, 0],
    ),
    (
        "attach a program",
        libc::SYS_bpf,
        [bpf_cmd::BPF_LINK_CREATE as i64, 0, 0],
    ),
    (
        "attach to a tracepoint",
        libc::SYS_bpf,
        [bpf_cmd::BPF_RAW_TRACEPOINT_OPEN as i64, 0, 0],
    ),
    (
        "open another's map",
        libc::SYS_bpf,
        [bpf_cmd::BPF_MAP_GET_FD_BY_ID as i64, 0, 0],
    ),
    ("open a perf event", libc::SYS_perf_event_open, [0, -1, -1]),
    ("run a program", libc::SYS_execve, [0, 0, 0]),
    ("make a process", libc::SYS_clone, [0, 0, 0]),
    ("make a socket", libc::SYS_socket, [-1, 0, 0]),
    ("connect", libc::SYS_connect, [-1, 0, 0]),
    ("listen", libc::SYS_bind, [-1, 0, 0]),
    ("trace a process", libc::SYS_ptrace, [-1, 0, 0]),
    (
        "read another's memory",
        libc::SYS_process_vm_readv,
        [0, 0, 0],
    ),
    ("signal a process", libc::SYS_kill, [0, -1, 0]),
    ("mount", libc::SYS_mount, [0, 0, 0]),
    ("load a module", libc::SYS_finit_module, [-1, 0, 0]),
    ("boot", libc::SYS_reboot, [0, 0, 0]),
    ("change namespaces", libc::SYS_setns, [-1, 0, 0]),
    ("become somebody", libc::SYS_setresuid, [-1, -1, -1]),
    ("use io_uring", libc::SYS_io_uring_setup, [0, 0, 0]),
];

/// Tries all, with the filter in force; says how many were refused, or which were not.
pub(super) fn all_refused() -> Result<String, String> {
    let passed: Vec<&str> = TRIALS
        .iter()
        .filter(|(_, call, arguments)| !refused(*call, *arguments))
        .map(|(name, ..)| *name)
        .collect();
    if passed.is_empty() {
        return Ok(format!("{} forbidden ones tried and refused", TRIALS.len()));
    }
    Err(format!(
        "in force, and does not refuse to {}",
        passed.join(", to ")
    ))
}

/// Whether a call is refused: by the filter or, without it, by the kernel for want of a capability. A privileged process that has
/// no filter would see it fail in another way, or do nothing.
fn refused(call: i64, [a, b, c]: [i64; 3]) -> bool {
    // SAFETY: all pointers among the arguments are null or of no length, and no descriptor is valid.
    let result = unsafe { libc::syscall(call, a, b, c, 0, 0, 0) };
    if call == libc::SYS_clone && result == 0 {
        // Let through, it made a copy of us, which must not go on.
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(0) };
    }
    result == -1 && Errno::last() == Errno::EPERM
}
