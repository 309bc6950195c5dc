//! A process of known calls, which makes them when it is told: each task by a thread of its own.
//!
//! It speaks by lines: `ready` with its numbers; then, for each line that it is told, `done`, until its input ends. Its
//! threads last as long: the end of each takes references itself. They work one after the other, or together if they are
//! told so.

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
            return work(&hands, Order::Together).map(drop);
        }
        let pids: Vec<u32> = hands.iter().map(|hand| hand.pid).collect();
        say("ready", &json!(pids))?;
        for line in std::io::stdin().lock().lines() {
            let line = line.context("cannot read what to do")?;
            let bounds = work(&hands, Order::of(&line))?;
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

/// How several threads or processes work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// So that a kretprobe always has room: on 5.10 for as many calls as there are CPUs.
    InTurn,
    Together,
}

impl Order {
    /// As it is told.
    fn word(self) -> &'static str {
        match self {
            Order::InTurn => "in turn",
            Order::Together => "together",
        }
    }

    fn of(line: &str) -> Order {
        if line == Order::Together.word() {
            Order::Together
        } else {
            Order::InTurn
        }
    }
}

/// Of each thread, the bounds of how long its calls took, if it knows them.
fn work(hands: &[Hand], order: Order) -> Result<Vec<Vec<Bounds>>> {
    let go = |hand: &Hand| hand.go.send(()).context("a thread has ended");
    let did = |hand: &Hand| hand.did.recv().context("a thread has ended")?;
    if order == Order::Together {
        hands.iter().try_for_each(go)?;
        return hands.iter().map(did).collect();
    }
    let in_turn = hands.iter().map(|hand| go(hand).and_then(|()| did(hand)));
    in_turn.collect()
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
