//! Functions of programs, by the return addresses of user stacks.
//!
//! A name is from the symbols of the file that a process has mapped there, opened through `/proc/PID/map_files`: that is the
//! file itself, though it may be deleted, replaced, or of another mount namespace. What lies in no symbol of it is unknown; so
//! is all of a process that had ended when it was first asked for.

use std::{collections::HashMap, fs, os::unix::fs::MetadataExt as _};

use anyhow::{Result, bail};
use blazesym::{
    Pid,
    symbolize::{Input, Symbolized, Symbolizer, source},
};

use crate::{holders::process, kernel::functions::UNKNOWN, text};

/// Processes whose names are kept. A stack has some ten functions of some ten bytes: a few MB.
const PROCESSES: usize = 1024;

/// The names that were asked for, by process.
#[derive(Default)]
pub struct Users {
    processes: HashMap<u32, Program>,
    hidden: Option<String>,
}

/// What a process runs, and what was asked of it.
#[derive(Default)]
struct Program {
    identity: Option<Identity>,
    names: HashMap<u64, String>,
}

/// Another process may have the number later, and a process may run another program: when it started, device and inode number
/// of what it runs.
type Identity = (u64, u64, u64);

impl Users {
    /// The functions of a user stack in the order of `stack`: `main`, demangled, escaped; or [`UNKNOWN`]. To be asked
    /// while the process runs; what was named then stays named.
    ///
    /// Each address is behind a call or a system call, which may be the last instruction of its function.
    pub fn frames(&mut self, tgid: u32, stack: &[u64]) -> Vec<String> {
        if self.processes.len() >= PROCESSES && !self.processes.contains_key(&tgid) {
            self.processes.clear();
        }
        let program = self.processes.entry(tgid).or_default();
        if let Some(identity) = identity(tgid) {
            if program.identity != Some(identity) {
                *program = Program::default();
            }
            let new = |address: &u64| !program.names.contains_key(address);
            let new: Vec<u64> = stack.iter().copied().filter(new).collect();
            match names(tgid, &new) {
                // Names of a program that came meanwhile would be guesses.
                Ok(names) if self::identity(tgid) == Some(identity) => {
                    program.identity = Some(identity);
                    program.names.extend(new.into_iter().zip(names));
                }
                // Said once: of other processes it will be the same.
                Err(reason) if self.hidden.is_none() => {
                    log::warn!("user stacks: {reason:#}");
                    self.hidden = Some(format!("{reason:#}"));
                }
                _ => {}
            }
        }
        let name = |address| program.names.get(address).map_or(UNKNOWN, String::as_str);
        stack.iter().map(name).map(str::to_owned).collect()
    }

    /// Why functions of a running process could not be named, if there was such a one.
    #[must_use]
    pub fn hidden(&self) -> Option<&str> {
        self.hidden.as_deref()
    }
}

/// `None` if it has ended.
fn identity(tgid: u32) -> Option<Identity> {
    let started = process::started(tgid)?;
    let program = fs::metadata(format!("/proc/{tgid}/exe")).ok()?;
    Some((started, program.dev(), program.ino()))
}

/// A name for each address. Nothing that the library reads is kept: a process is seldom asked twice, and symbols are large.
fn names(tgid: u32, addresses: &[u64]) -> Result<Vec<String>> {
    if addresses.is_empty() {
        return Ok(vec![]);
    }
    if !process::numbers_are_the_kernels() {
        bail!(
            "processes have other numbers here than in the kernel: run daxscope in the host's pid namespace"
        );
    }
    let symbolizer = Symbolizer::builder()
        .enable_code_info(false)
        .enable_inlined_fns(false)
        .build();
    let mut process = source::Process::new(Pid::from(tgid));
    // A file that the process itself writes, of any size, wherever it says.
    process.perf_map = false;
    process.debug_syms = false;
    process.vdso = false;
    let process = source::Source::Process(process);
    let calls: Vec<u64> = addresses.iter().map(|at| at.saturating_sub(1)).collect();
    let found = match symbolizer.symbolize(&process, Input::AbsAddr(&calls)) {
        Ok(found) => found,
        // One file that cannot be read fails them all.
        Err(_) => one_by_one(&symbolizer, &process, &calls)?,
    };
    Ok(found.iter().map(words).collect())
}

/// # Errors
/// When none has a name and there was an error: that of the first.
fn one_by_one<'a>(
    symbolizer: &'a Symbolizer,
    process: &source::Source,
    calls: &[u64],
) -> Result<Vec<Symbolized<'a>>> {
    let mut first = None;
    let unknown = Symbolized::Unknown(blazesym::symbolize::Reason::IgnoredError);
    let found: Vec<_> = calls
        .iter()
        .map(|call| symbolizer.symbolize_single(process, Input::AbsAddr(*call)))
        .map(|found| {
            found.unwrap_or_else(|error| {
                first.get_or_insert(error);
                unknown.clone()
            })
        })
        .collect();
    match first {
        Some(error) if found.iter().all(|found| found.as_sym().is_none()) => bail!(
            "the files that processes have mapped cannot be read; root can, or CAP_CHECKPOINT_RESTORE with \
             CAP_SYS_PTRACE: {error}"
        ),
        _ => Ok(found),
    }
}

fn words(found: &Symbolized) -> String {
    match found.as_sym() {
        // One without a size might end anywhere.
        Some(symbol) if symbol.size.is_some() => text::foreign(symbol.name.as_bytes()),
        _ => UNKNOWN.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        process::{Child, Command, Stdio},
    };

    use super::*;

    const CHILD: &str = "DAXSCOPE_TEST_CHILD";

    #[inline(never)]
    fn landmark() -> u64 {
        std::hint::black_box(1)
    }

    /// Behind the first instruction of a function.
    fn inside() -> u64 {
        landmark as fn() -> u64 as usize as u64 + 1
    }

    /// Whether files that processes have mapped may be opened.
    fn may() -> bool {
        let maps = fs::read_dir("/proc/self/map_files").into_iter().flatten();
        let may = maps
            .flatten()
            .next()
            .is_some_and(|entry| fs::File::open(entry.path()).is_ok())
            && process::numbers_are_the_kernels();
        if !may {
            println!("skipped: /proc/self/map_files cannot be opened");
        }
        may
    }

    /// This test, as another process of another file, which is removed as soon as it runs; and where its [`inside`] is.
    fn child(test: &str) -> (Child, u64) {
        let ourselves = std::env::current_exe().expect("our file");
        let copy = ourselves.with_extension(format!("copy-{}", std::process::id()));
        fs::hard_link(&ourselves, &copy).expect("a second name");
        let mut child = Command::new(&copy)
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, "")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let said = |line: std::io::Result<String>| line.ok()?.strip_prefix("at ")?.parse().ok();
        let at = lines.into_iter().find_map(said).expect("where it is");
        fs::remove_file(copy).expect("removed");
        (child, at)
    }

    #[test]
    fn what_runs_is_named_though_its_file_is_removed_and_what_ended_stays_named() {
        if std::env::var_os(CHILD).is_some() {
            println!("\nat {}", inside());
            std::io::stdout().flush().expect("said");
            let _ = std::io::stdin().read_line(&mut String::new());
            return;
        }
        if !may() {
            return;
        }
        let test = "session::users::tests::what_runs_is_named_though_its_file_is_removed_and_what_ended_stays_named";
        let (mut running, at) = child(test);
        let mut users = Users::default();
        let named = "daxscope::session::users::tests::landmark";
        let frames = users.frames(running.id(), &[at, 0x10, at]);
        assert_eq!(frames, [named, UNKNOWN, named]);
        running.kill().expect("killed");
        let zombie = running.id();
        assert_eq!(users.frames(zombie, &[at]), [named]);
        running.wait().expect("its end");
        assert_eq!(users.frames(zombie, &[at, at + 1]), [named, UNKNOWN]);
        assert_eq!(Users::default().frames(zombie, &[at]), [UNKNOWN]);
        assert_eq!(users.hidden(), None);
    }

    #[test]
    fn what_lies_in_no_function_is_unknown() {
        let mut users = Users::default();
        let stack = 0_u8;
        let data = std::ptr::from_ref(&stack) as u64;
        let frames = users.frames(std::process::id(), &[data, 0, u64::MAX]);
        assert_eq!(frames, [UNKNOWN; 3]);
        assert!(users.frames(std::process::id(), &[]).is_empty());
    }

    #[test]
    fn names_are_kept_of_so_many_processes_only() {
        // Above any pid (`PID_MAX_LIMIT`, include/linux/threads.h).
        const FREE: u32 = (1 << 22) + 1;
        let mut users = Users::default();
        for none in (FREE..).take(2 * PROCESSES) {
            users.frames(none, &[1]);
        }
        assert!(users.processes.len() <= PROCESSES);
    }
}
