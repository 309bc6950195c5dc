//! seccomp: the system calls that serving takes, and no others. Of `bpf(2)` those commands that read maps and what the kernel
//! says of our own programs; of sockets only those that are there. What is refused gets EPERM, so that a library that tries
//! something for its comfort goes on without.

use std::collections::BTreeMap;

use aya_obj::generated::bpf_cmd;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Without conditions.
const ALLOWED: &[i64] = &[
    // Sockets that are there, and what comes in by them.
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    // Files; Landlock says which.
    libc::SYS_openat,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_fcntl,
    // Waiting.
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_futex,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    // Memory and threads of our own.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Refused by another filter, in the way that makes the C library use `clone`.
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getrandom,
    libc::SYS_sysinfo,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Where the C library still uses the older names.
#[cfg(target_arch = "x86_64")]
const OLDER: &[i64] = &[
    libc::SYS_epoll_wait,
    libc::SYS_poll,
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_readlink,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[i64] = &[];

/// Commands of `bpf(2)`. `MAP_DELETE_ELEM`: calls of threads that have ended are given up. `PROG_TEST_RUN`: the program that
/// reads page tables of pagemaps that come up later.
const COMMANDS: [bpf_cmd; 5] = [
    bpf_cmd::BPF_MAP_LOOKUP_ELEM,
    bpf_cmd::BPF_MAP_DELETE_ELEM,
    bpf_cmd::BPF_MAP_GET_NEXT_KEY,
    bpf_cmd::BPF_PROG_TEST_RUN,
    bpf_cmd::BPF_OBJ_GET_INFO_BY_FD,
];

/// Sets the filter for all threads of this process.
pub(super) fn filter() -> Result<String, String> {
    let rules = rules().map_err(|error| format!("cannot be made: {error}"))?;
    let count = rules.len();
    // Flags of `clone3` are in memory, where no filter sees them. Of two filters the stricter answer holds.
    let newer = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    let programs = [
        compiled(newer, SeccompAction::Allow, errno(libc::ENOSYS)),
        compiled(rules, errno(libc::EPERM), SeccompAction::Allow),
    ];
    for program in programs {
        let program = program.map_err(|error| format!("cannot be made: {error}"))?;
        seccompiler::apply_filter_all_threads(&program)
            .map_err(|error| format!("cannot be set: {error}"))?;
    }
    Ok(format!("{count} system calls allowed"))
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn rules() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = ALLOWED
        .iter()
        .chain(OLDER)
        .map(|call| (*call, vec![]))
        .collect();
    let commands = COMMANDS.map(|command| only(0, SeccompCmpOp::Eq, command as u64));
    rules.insert(
        libc::SYS_bpf,
        commands.into_iter().collect::<Result<_, _>>()?,
    );
    // A thread, for passwords to be hashed on; no process.
    let thread = libc::CLONE_THREAD.unsigned_abs().into();
    rules.insert(
        libc::SYS_clone,
        vec![only(0, SeccompCmpOp::MaskedEq(thread), thread)?],
    );
    // Memory becomes no code.
    let code = libc::PROT_EXEC.unsigned_abs().into();
    for call in [libc::SYS_mprotect, libc::SYS_mmap] {
        rules.insert(call, vec![only(2, SeccompCmpOp::MaskedEq(code), 0)?]);
    }
    // Whether a thread lives.
    rules.insert(libc::SYS_kill, vec![only(1, SeccompCmpOp::Eq, 0)?]);
    let name = only(0, SeccompCmpOp::Eq, libc::PR_SET_NAME.unsigned_abs().into())?;
    rules.insert(libc::SYS_prctl, vec![name]);
    // One's own limits can be asked for, and not set.
    rules.insert(libc::SYS_prlimit64, vec![only(2, SeccompCmpOp::Eq, 0)?]);
    let nonblocking = only(1, SeccompCmpOp::Eq, libc::FIONBIO)?;
    rules.insert(libc::SYS_ioctl, vec![nonblocking]);
    Ok(rules)
}

/// A rule on one argument.
fn only(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Qword,
        operator,
        value,
    )?])
}

fn errno(errno: i32) -> SeccompAction {
    SeccompAction::Errno(errno.unsigned_abs())
}

/// What becomes of other calls, and of those with a rule.
fn compiled(
    rules: Rules,
    others: SeccompAction,
    named: SeccompAction,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, others, named, arch)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_one_that_a_kernel_takes() {
        let rules = rules().expect("rules");
        assert!(!rules.contains_key(&libc::SYS_execve));
        assert!(!rules.contains_key(&libc::SYS_socket));
        let program = compiled(rules, errno(1), SeccompAction::Allow).expect("compiles");
        // BPF_MAXINSNS, include/uapi/linux/bpf_common.h
        assert!(program.len() < 4096, "{}", program.len());
    }
}
