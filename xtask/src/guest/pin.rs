//! Pins user pages by raw system calls and says exactly how many calls and pages that was.
//!
//! Which kernel entry point a system call lands in differs from kernel to kernel. The driver
//! knows only what it asked for; the checks ask the kernel where it went.

pub mod command;
mod hand;
pub mod hold;
mod memory;
pub mod park;

use std::num::NonZero;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

pub use hand::{register_errno, vm_readv_errno, vmsplice_errno};
pub use hold::{Holder, Keep};
pub use memory::{Memory, Piece};
pub use park::Parked;

use super::region::PAGE;
pub use hand::Hand;

/// A system call that makes the kernel take references on user pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    #[value(name = "process_vm_readv")]
    ProcessVmReadv,
    #[value(name = "io_uring")]
    IoUring,
    #[value(name = "o_direct")]
    ODirect,
    #[value(name = "vmsplice")]
    Vmsplice,
}

impl By {
    pub const ALL: [By; 4] = [By::ProcessVmReadv, By::IoUring, By::ODirect, By::Vmsplice];

    pub fn name(self) -> &'static str {
        match self {
            By::ProcessVmReadv => "process_vm_readv",
            By::IoUring => "io_uring",
            By::ODirect => "o_direct",
            By::Vmsplice => "vmsplice",
        }
    }

    /// Pages that a request carries if nobody asks for another number.
    pub fn usual_per_call(self) -> u64 {
        self.most_per_call().min(1024)
    }

    /// Pages that one request can carry: beyond it the kernel would split the request into several calls.
    pub fn most_per_call(self) -> u64 {
        match self {
            // PVM_MAX_KMALLOC_PAGES * PAGE_SIZE / sizeof(void *), mm/process_vm_access.c [S:5.10..7.3]
            By::ProcessVmReadv => 1024,
            // One buffer is pinned by one call, up to a GiB of it (io_uring/rsrc.c).
            By::IoUring => 1 << 18,
            // One bio: BIO_MAX_VECS, include/linux/bio.h
            By::ODirect => 256,
            // Slots of a default pipe, fs/splice.c iter_to_pipe
            By::Vmsplice => 16,
        }
    }
}

/// How much to pin. Every thread makes `calls` requests of `per_call` pages.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub by: By,
    pub per_call: u64,
    pub calls: u64,
    pub threads: u64,
}

impl Plan {
    /// At least `pages` pages in requests of `per_call`, spread over `threads`.
    pub fn of_pages(by: By, pages: u64, per_call: u64, threads: u64) -> Plan {
        Plan {
            by,
            per_call,
            calls: pages.div_ceil(per_call * threads),
            threads,
        }
    }

    fn check(&self, memory: &Memory) -> Result<()> {
        let Plan {
            by,
            per_call,
            threads,
            ..
        } = *self;
        ensure!(
            (1..=by.most_per_call()).contains(&per_call),
            "{} takes 1 to {} pages a call, not {per_call}",
            by.name(),
            by.most_per_call()
        );
        ensure!(
            memory.pages() >= threads * per_call,
            "{threads} threads with {per_call} pages a call need {} pages of memory, there are {}",
            threads * per_call,
            memory.pages()
        );
        Ok(())
    }

    fn carry_out(&self, thread: u64, hand: &Hand, memory: &Memory) -> Result<()> {
        let slice = memory.pages() / self.threads;
        // Step by the size of a request, so that odd sizes straddle every boundary in turn.
        let places = slice - self.per_call + 1;
        (0..self.calls)
            .try_for_each(|call| {
                let page = thread * slice + call * self.per_call % places;
                hand.pin(memory.at(page), self.per_call * PAGE)
            })
            .with_context(|| format!("pinning by {}", self.by.name()))
    }
}

/// What was done: every request was granted in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub calls: u64,
    pub pages: u64,
    pub took: Duration,
}

/// Two threads for each CPU: some are always preempted inside the kernel.
pub fn threads() -> u64 {
    std::thread::available_parallelism().map_or(2, NonZero::get) as u64 * 2
}

/// Carry out plans one after the other on this memory, and `observe` right before and right after.
///
/// Nothing else may pin meanwhile. So no process is started (each execve takes references on its argument
/// pages), and the threads outlive the second observation: the end of a thread wakes a shared futex, which is
/// a `get_user_pages_fast` for the waker and one for whoever joins it.
pub fn run<T>(
    plans: &[Plan],
    memory: &Memory,
    observe: impl Fn() -> Result<T>,
) -> Result<(Done, T, T)> {
    let threads = plans
        .iter()
        .map(|plan| plan.threads)
        .max()
        .context("nothing to pin")?;
    for plan in plans {
        plan.check(memory)?;
    }
    let work = (0..threads)
        .map(|thread| {
            let mine = plans.iter().filter(|plan| thread < plan.threads);
            mine.map(|plan| Ok((plan, Hand::ready(plan.by)?))).collect()
        })
        .collect::<Result<Vec<Vec<_>>>>()?;
    let gate = Barrier::new(work.len() + 1);

    let (took, results, observed) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .zip(&work)
            .map(|(thread, work)| {
                let gate = &gate;
                scope.spawn(move || {
                    gate.wait();
                    let result = work
                        .iter()
                        .try_for_each(|(plan, hand)| plan.carry_out(thread, hand, memory));
                    gate.wait();
                    gate.wait();
                    result
                })
            })
            .collect();
        let before = observe();
        let begun = Instant::now();
        gate.wait();
        gate.wait();
        let took = begun.elapsed();
        let after = observe();
        gate.wait();
        let joined = workers.into_iter().map(|worker| {
            worker
                .join()
                .map_err(|_| anyhow!("a pinning thread panicked"))
        });
        (took, joined.collect::<Vec<_>>(), (before, after))
    });
    for result in results {
        result??;
    }
    let mut done = Done {
        took,
        ..Done::default()
    };
    for plan in plans {
        done.calls += plan.calls * plan.threads;
        done.pages += plan.calls * plan.threads * plan.per_call;
    }
    Ok((done, observed.0?, observed.1?))
}
