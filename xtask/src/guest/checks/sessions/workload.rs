//! What the sessions watch: several processes, all entry points, all geometries, calls that fail.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, ensure};

use super::calls::Calls;
use crate::guest::oracle::{GUP, Hits, since};
use crate::guest::pin::{self, By, Memory, Plan, register_errno};
use crate::guest::region::{Device, PAGE, create_all};
use crate::guest::work::{Crew, Member, Source, Task, Worker};

/// A name that a careless output would let out of its line: ESC, and a byte that is no UTF-8.
const RUDE: &[u8] = b"rude\x1b[2J\xff";
pub const RUDE_ESCAPED: &str = r"rude\x1b[2J\xff";
const CGROUPS: &str = "/sys/fs/cgroup";

/// Regions of each geometry, cgroups, and which functions the system calls land in on this kernel.
pub struct Ground {
    pub devices: Vec<Device>,
    landed: BTreeMap<&'static str, (&'static str, &'static str)>,
    /// Whether `io_uring` takes memory of a device: not before 6.4.
    pub ring_takes_devices: bool,
}

impl Ground {
    pub fn prepare() -> Result<Ground> {
        for cgroup in ["a", "b"] {
            let folder = format!("{CGROUPS}/{cgroup}");
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {folder}"))?;
        }
        let devices = create_all()?;
        let first = &devices[1];
        let memory = Memory::device(&first.path, first.asked.bytes, 1)?;
        let refused = register_errno(memory.at(0), PAGE)?;
        Ok(Ground {
            landed: landed()?,
            ring_takes_devices: refused.is_none(),
            devices,
        })
    }

    /// The processes of the workload, not yet told to work.
    pub fn crew(&self) -> Result<Crew> {
        let device = |at: usize| Source::Device(self.devices[at].path.clone());
        let border = Source::Border(self.devices[1].path.clone());
        let ring = if self.ring_takes_devices {
            device(1)
        } else {
            Source::System
        };
        let task = |by, from, per_call, calls| Task {
            by,
            from,
            per_call,
            calls,
        };
        let worker = |comm: &'static [u8], cgroup: &str, tasks| Worker {
            comm,
            cgroup: Some(format!("{CGROUPS}/{cgroup}")),
            tasks,
        };
        let workers = vec![
            worker(
                b"remote",
                "a",
                vec![
                    task(By::ProcessVmReadv, device(0), 100, 7),
                    task(By::ProcessVmReadv, Source::System, 1000, 5),
                    task(By::ProcessVmReadv, Source::Hole, 4, 6),
                    task(By::ProcessVmReadv, Source::Cut, 8, 3),
                ],
            ),
            worker(
                b"direct",
                "a",
                vec![
                    task(By::ODirect, device(1), 256, 12),
                    task(By::ODirect, Source::System, 5, 9),
                ],
            ),
            worker(
                RUDE,
                "b",
                vec![
                    task(By::Vmsplice, device(2), 16, 20),
                    task(By::Vmsplice, Source::Hole, 4, 2),
                ],
            ),
            worker(b"ring", "b", vec![task(By::IoUring, ring, 512, 4)]),
            worker(
                b"border",
                "b",
                vec![task(By::ProcessVmReadv, border, 64, 11)],
            ),
        ];
        Crew::start(workers)
    }

    /// The functions that a crew calls: a session of these alone attaches sooner.
    pub fn entries(&self) -> String {
        let entries: BTreeSet<&str> = self.landed.values().map(|(entry, _)| *entry).collect();
        entries.into_iter().collect::<Vec<_>>().join(",")
    }

    /// What a crew does each time it is told.
    pub fn calls(&self, crew: &Crew) -> Result<Vec<Calls>> {
        let mut all = Vec::new();
        for member in &crew.members {
            for (task, thread) in member.worker.tasks.iter().zip(&member.threads) {
                all.push(self.of(member, task, *thread)?);
            }
        }
        Ok(all)
    }

    fn of(&self, member: &Member, task: &Task, thread: u32) -> Result<Calls> {
        let (entry, how) = self.landed[task.by.name()];
        let cgroup = member.worker.cgroup.as_deref().unwrap_or(CGROUPS);
        let mut is = BTreeMap::from([
            ("entry", entry.to_owned()),
            ("how", how.to_owned()),
            ("comm", name_of(member)),
            ("pid", thread.to_string()),
            ("tgid", member.pid.to_string()),
            ("cgroup", cgroup.replacen(CGROUPS, "", 1)),
        ]);
        let errno = if task.granted() == 0 { "EFAULT" } else { "ok" };
        is.insert("errno", errno.to_owned());
        // io_sqe_buffer_register (io_uring/rsrc.c); the other system calls give back what they took before they return.
        let longterm = task.by == By::IoUring;
        is.insert(
            "longterm",
            if longterm { "longterm" } else { "-" }.to_owned(),
        );
        Ok(Calls {
            times: task.calls,
            is,
            asked: task.per_call,
            parts: self.parts(task)?,
            ns: None,
        })
    }

    fn parts(&self, task: &Task) -> Result<Vec<(String, String, u64)>> {
        let part =
            |[geometry, device]: [&str; 2], pages| (geometry.to_owned(), device.to_owned(), pages);
        let of = |path: &std::path::Path, pages| -> Result<_> {
            let mut devices = self.devices.iter();
            let device = devices.find(|device| device.path == path);
            let device = device.context("a task on no device of the ground")?;
            Ok(part([device.geometry()?.name, &device.name()], pages))
        };
        let pages = task.granted();
        Ok(match &task.from {
            Source::System | Source::Cut | Source::Slow => vec![part(["system", "system"], pages)],
            Source::Hole => vec![part(["unknown", "unknown"], 0)],
            Source::Device(path) => vec![of(path, pages)?],
            Source::Border(path) => {
                let half = pages / 2;
                vec![part(["system", "system"], half), of(path, half)?]
            }
        })
    }

    pub fn destroy(&self) -> Result<()> {
        self.devices.iter().try_for_each(Device::destroy)
    }
}

/// The processes of a crew, as `--pid` takes them.
pub fn pids(crew: &Crew) -> String {
    let pids = crew.members.iter().map(|member| member.pid.to_string());
    pids.collect::<Vec<_>>().join(",")
}

/// As it must be shown.
pub fn name_of(member: &Member) -> String {
    match member.worker.comm {
        RUDE => RUDE_ESCAPED.to_owned(),
        comm => String::from_utf8_lossy(comm).into_owned(),
    }
}

/// The function that each system call lands in, and what that does with pages: by the kernel's own hits.
fn landed() -> Result<BTreeMap<&'static str, (&'static str, &'static str)>> {
    let hits = Hits::watch(GUP.iter().map(|(symbol, ..)| *symbol))?;
    let memory = Memory::of_base_pages(16)?;
    let mut landed = BTreeMap::new();
    for by in By::ALL {
        let plan = Plan {
            by,
            per_call: 16,
            calls: 8,
            threads: 1,
        };
        let (done, before, after) = pin::run(&[plan], &memory, || hits.read())?;
        let called = since(&after, &before);
        let of = |symbol: &str| called.get(symbol).copied() == Some(done.calls);
        let mut all = GUP.iter().filter(|(symbol, ..)| of(symbol));
        let one = all.next().map(|(symbol, how, _)| (*symbol, *how));
        let one = one.with_context(|| format!("{} called {called:?}", by.name()))?;
        ensure!(all.next().is_none(), "{} called {called:?}", by.name());
        landed.insert(by.name(), one);
    }
    Ok(landed)
}
