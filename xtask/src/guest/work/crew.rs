//! Several such processes, started together and told together.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Bounds, Order, Task};

/// A process to be.
pub struct Worker {
    pub comm: &'static [u8],
    /// Folder of its cgroup.
    pub cgroup: Option<String>,
    pub tasks: Vec<Task>,
}

impl Worker {
    pub fn command(&self) -> Result<Command> {
        let own = std::env::current_exe().context("cannot find this program's own file")?;
        let mut command = Command::new(own);
        command.args(["guest", "work", "--comm"]);
        command.arg(OsStr::from_bytes(self.comm));
        if let Some(cgroup) = &self.cgroup {
            command.args(["--cgroup", cgroup]);
        }
        command.args(self.tasks.iter().map(ToString::to_string));
        Ok(command)
    }
}

/// Processes that wait to be told.
pub struct Crew {
    pub members: Vec<Member>,
}

pub struct Member {
    pub worker: Worker,
    pub pid: u32,
    /// Of its tasks, in their order.
    pub threads: Vec<u32>,
    /// Of each task's calls, where they are known.
    pub bounds: Vec<Vec<Bounds>>,
    child: Child,
    ask: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
}

impl Crew {
    pub fn start(workers: Vec<Worker>) -> Result<Crew> {
        let members = workers.into_iter().map(Member::start);
        let members = members.collect::<Result<_>>()?;
        Ok(Crew { members })
    }

    /// Each does all of its tasks. Back when they are done; they stay.
    pub fn work(&mut self, order: Order) -> Result<()> {
        if order == Order::Together {
            let members = &mut self.members;
            members
                .iter_mut()
                .try_for_each(|member| member.tell(order))?;
            return members.iter_mut().try_for_each(Member::done);
        }
        for member in &mut self.members {
            member.tell(order)?;
            member.done()?;
        }
        Ok(())
    }
}

impl Member {
    fn start(worker: Worker) -> Result<Member> {
        let mut command = worker.command()?;
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start a worker")?;
        let ask = child.stdin.take();
        let said = child.stdout.take().context("no standard output")?;
        let mut member = Member {
            pid: child.id(),
            threads: Vec::new(),
            bounds: Vec::new(),
            said: BufReader::new(said),
            worker,
            child,
            ask,
        };
        let threads = member.hear("ready")?;
        let number = |value: &Value| u32::try_from(value.as_u64()?).ok();
        let threads = threads.as_array().into_iter().flatten().map(number);
        let threads: Option<_> = threads.collect();
        member.threads = threads.context("a worker named its threads in other words")?;
        ensure!(
            member.threads.len() == member.worker.tasks.len(),
            "not a thread for each task"
        );
        Ok(member)
    }

    fn tell(&mut self, order: Order) -> Result<()> {
        let ask = self.ask.as_mut().context("no standard input")?;
        writeln!(ask, "{}", order.word()).context("cannot speak to a worker")
    }

    fn done(&mut self) -> Result<()> {
        let done = self.hear("done")?;
        self.bounds = bounds(&done).context("a worker said what it did in other words")?;
        Ok(())
    }

    fn hear(&mut self, word: &str) -> Result<Value> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        let said = line.strip_prefix(word);
        let said = said.with_context(|| format!("a worker said {line:?}, not {word:?}"))?;
        Ok(serde_json::from_str(said)?)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It ends when nobody can tell it any more. One that hangs would hang the guest, which has its time limit.
        self.ask = None;
        let _ = self.child.wait();
    }
}

fn bounds(done: &Value) -> Option<Vec<Vec<Bounds>>> {
    let one = |bounds: &Value| {
        let (least, most) = (bounds[0].as_u64()?, bounds[1].as_u64()?);
        Some(Bounds { least, most })
    };
    let tasks = done.as_array()?.iter();
    tasks
        .map(|task| task.as_array()?.iter().map(one).collect())
        .collect()
}
