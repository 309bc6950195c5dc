//! A process of known calls, which makes them when it is told: each task by a thread of its own.
//!
//! It speaks by lines: `ready` with its numbers; then, for each line that it is told, `done`, until its input ends. Its
//! threads last as long: the end of each takes references itself.

mod crew;
mod slow;
mod task;

use std::ffi::{CString, OsString};
use std::fs;
use std::io::{BufRead, Write};
use std::os::unix::ffi::OsStringExt;
use std::sync::mpsc::{self, Receiver, Sender};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

pub use crew::{Crew, Member, Worker};
pub use slow::Bounds;
pub use task::{Source, Task};

use task::Job;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// What its threads are called, at most 15 bytes
    #[arg(long)]
    comm: OsString,
    /// Folder of a cgroup to be in
    #[arg(long)]
    cgroup: Option<String>,
    /// Work once, without being told, and end
    #[arg(long)]
    at_once: bool,
    /// BY:FROM:PAGES:CALLS, of which FROM is system, a device, system+DEVICE, hole, cut or slow
    #[arg(required = true)]
    tasks: Vec<Task>,
}

/// `xtask guest work`.
pub fn main(args: &Args) -> Result<()> {
    call_ourselves(args.comm.clone())?;
    if let Some(cgroup) = &args.cgroup {
        let procs = format!("{cgroup}/cgroup.procs");
        fs::write(&procs, "0").with_context(|| format!("cannot write to {procs}"))?;
    }
    let jobs = args.tasks.iter().map(Job::ready);
    let jobs = jobs.collect::<Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        let mut hands = Vec::new();
        for job in &jobs {
            let (go, told) = mpsc::channel();
            let (tell, did) = mpsc::channel();
            let (name, named) = mpsc::channel();
            scope.spawn(move || {
                let _ = name.send(thread_id());
                serve(job, &told, &tell);
            });
            let pid = named.recv().context("a thread ended at once")?;
            hands.push(Hand { pid, go, did });
        }
        if args.at_once {
            return work(&hands).map(drop);
        }
        let pids: Vec<u32> = hands.iter().map(|hand| hand.pid).collect();
        say("ready", &json!(pids))?;
        for line in std::io::stdin().lock().lines() {
            line.context("cannot read what to do")?;
            let bounds = work(&hands)?;
            let task = |task: Vec<Bounds>| task.iter().map(|b| [b.least, b.most]).collect();
            let bounds: Vec<Vec<[u64; 2]>> = bounds.into_iter().map(task).collect();
            say("done", &json!(bounds))?;
        }
        Ok(())
    })
}

/// A thread, and the way to it.
struct Hand {
    pid: u32,
    go: Sender<()>,
    did: Receiver<Result<Vec<Bounds>>>,
}

/// All threads at the same time. Of each, the bounds of how long its calls took, if it knows them.
fn work(hands: &[Hand]) -> Result<Vec<Vec<Bounds>>> {
    for hand in hands {
        hand.go.send(()).context("a thread has ended")?;
    }
    let did = hands.iter().map(|hand| hand.did.recv());
    did.map(|did| did.context("a thread has ended")?).collect()
}

/// Until nobody can ask any more.
fn serve(job: &Job, told: &Receiver<()>, tell: &Sender<Result<Vec<Bounds>>>) {
    while told.recv().is_ok() {
        let did = job.carry_out();
        if tell.send(did).is_err() {
            return;
        }
    }
}

fn say(word: &str, what: &Value) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{word} {what}").and_then(|()| out.flush())?;
    Ok(())
}

/// Threads that are started later have the name of the one that starts them.
fn call_ourselves(name: OsString) -> Result<()> {
    let name = CString::new(name.into_vec()).context("a name with a zero byte")?;
    ensure!(name.as_bytes().len() <= 15, "{name:?} is too long a name");
    // SAFETY: a zero-terminated string of at most 16 bytes, which the kernel copies.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    Ok(())
}

fn thread_id() -> u32 {
    // SAFETY: no pointers.
    let id = unsafe { libc::gettid() };
    id.unsigned_abs()
}
