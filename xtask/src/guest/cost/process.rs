//! What a process has used, by the kernel's own account of it.

use std::fs;

use anyhow::{Context, Result, ensure};

/// CPU time since its start; ns, and so instructions in a guest whose clock counts them (the guest calibrates its TSC to
/// 1 GHz, to some parts in 10,000). Without its children, and without what the kernel does for it in other threads.
pub fn cpu(pid: u32) -> Result<u64> {
    let pid = i32::try_from(pid)?;
    let mut clock = 0;
    // SAFETY: room for the one clock id that is written.
    let rc = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    ensure!(rc == 0, "process {pid} has no CPU clock: error {rc}");
    // SAFETY: a struct of integers, for which zero is a value.
    let mut time = unsafe { std::mem::zeroed::<libc::timespec>() };
    // SAFETY: room for the one timespec that is written.
    let rc = unsafe { libc::clock_gettime(clock, &raw mut time) };
    ensure!(
        rc == 0,
        "cannot read the CPU clock of process {pid}: {}",
        std::io::Error::last_os_error()
    );
    Ok(u64::try_from(time.tv_sec)? * 1_000_000_000 + u64::try_from(time.tv_nsec)?)
}

/// `VmRSS`: memory that is in RAM; bytes.
pub fn resident(pid: u32) -> Result<u64> {
    let text = read(&format!("/proc/{pid}/status"))?;
    Ok(field(&text, "VmRSS")? * 1024)
}

/// How often its threads slept and were woken.
pub fn wakeups(pid: u32) -> Result<u64> {
    let home = format!("/proc/{pid}/task");
    let mut sum = 0;
    for thread in fs::read_dir(&home).with_context(|| format!("cannot read {home}"))? {
        let path = thread?.path().join("status");
        sum += field(
            &read(&path.display().to_string())?,
            "voluntary_ctxt_switches",
        )?;
    }
    Ok(sum)
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

/// `NAME:   number …`
fn field(status: &str, name: &str) -> Result<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("no {name} in a process' status"))
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status =
            "VmRSS:\t    5120 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t9\n";
        assert_eq!(field(status, "VmRSS").unwrap(), 5120);
        assert_eq!(field(status, "voluntary_ctxt_switches").unwrap(), 7);
        assert!(field(status, "ctxt_switches").is_err());
    }
}
