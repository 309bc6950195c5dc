//! Work whose instructions are counted: one system call, over and over, on the same pages.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::clock;
use super::figure::Figure;
use crate::guest::pin::{By, Hand, Memory};
use crate::guest::region::{self, PAGE};

/// A system call, or the half of one that takes or gives back pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Call {
    /// `get_user_pages_fast`, and the pipe emptied again
    Vmsplice,
    /// `pin_user_pages_remote` and unpin
    #[value(name = "process_vm")]
    ProcessVm,
    /// An `io_uring` buffer registered and taken back: pin and unpin
    #[value(name = "io_uring")]
    IoUring,
    /// Of that, the registration alone: pin
    Register,
    /// Of that, the taking back alone: unpin
    Unregister,
    /// A direct read of a block device that moves no data
    #[value(name = "o_direct")]
    ODirect,
}

impl Call {
    fn by(self) -> By {
        match self {
            Call::Vmsplice => By::Vmsplice,
            Call::ProcessVm => By::ProcessVmReadv,
            Call::IoUring | Call::Register | Call::Unregister => By::IoUring,
            Call::ODirect => By::ODirect,
        }
    }

    fn check(self, pages: u64) -> Result<()> {
        let most = self.by().most_per_call();
        ensure!(
            (1..=most).contains(&pages),
            "{} takes 1 to {most} pages a call, not {pages}",
            self.by().name()
        );
        Ok(())
    }

    /// Makes one call; what is between the two readings of `clock` counts.
    fn once(self, hand: &Hand, start: *mut u8, bytes: u64) -> Result<u64> {
        let begun = clock::now();
        if let (Call::Register | Call::Unregister, Hand::IoUring(ring)) = (self, hand) {
            let registered = Hand::register(ring, start, bytes)?;
            let between = clock::now();
            registered
                .take_back()
                .context("cannot take a buffer back")?;
            return Ok(if self == Call::Register {
                between - begun
            } else {
                clock::now() - between
            });
        }
        hand.pin(start, bytes)?;
        Ok(clock::now() - begun)
    }
}

const BATCHES: u64 = 51;

/// A quarter of a timer tick at HZ=250: no call of ours has as many instructions.
const A_SLEEP: u64 = 1_000_000;

#[derive(Clone, Debug, clap::Args)]
pub struct Work {
    /// What to call
    #[arg(long, value_enum)]
    pub call: Call,
    /// `anon` (base pages), `thp` (a huge page), or a device such as /dev/dax0.0
    #[arg(long, default_value = "anon")]
    pub from: String,
    /// Pages in one call
    #[arg(long, default_value_t = 1)]
    pub pages: u64,
    /// Calls in one batch: few enough that most batches see no timer tick (4 million instructions at HZ=250)
    #[arg(long, default_value_t = 100)]
    pub calls: u64,
    /// Batches
    #[arg(long, default_value_t = BATCHES)]
    pub batches: u64,
    /// Threads that call at the same time, each on a CPU of its own. Then batches are of 100 times as many calls and five
    /// times fewer, and a figure is of all threads together: ticks are in it
    #[arg(long)]
    pub threads: Option<u64>,
}

impl Work {
    /// With the usual numbers of calls.
    pub fn of(call: Call, from: &str, pages: u64) -> Work {
        Work {
            call,
            from: from.to_owned(),
            pages,
            calls: 100,
            batches: BATCHES,
            threads: None,
        }
    }

    /// Instructions per call.
    pub fn measure(&self) -> Result<Figure> {
        self.call.check(self.pages)?;
        if let Some(threads) = self.threads {
            return self.side_by_side(threads);
        }
        // From one of two threads: in a process of one the kernel gets a file without counting references (`fdget`,
        // fs/file.c), and a thread of ours that reads what a watcher says would make the difference, some 130 instructions.
        std::thread::scope(|scope| {
            let alone = scope.spawn(|| self.alone());
            alone.join().map_err(|_| anyhow!("the thread panicked"))?
        })
    }

    fn alone(&self) -> Result<Figure> {
        clock::stay_on(0)?;
        let (hand, memory) = (Hand::ready(self.call.by())?, self.memory()?);
        let batch = |calls| self.batch(&hand, &memory, calls);
        let begun = clock::now();
        (0..3).try_for_each(|_| batch(1).map(drop))?;
        // Up to 6.1 an io_uring waits for RCU before it gives buffers back; the clock of an idle CPU runs on.
        let sleeps = clock::now() - begun > 3 * A_SLEEP;
        ensure!(
            !sleeps || self.call == Call::Register,
            "this kernel sleeps in such a call: no count of instructions"
        );
        let (calls, batches) = if sleeps {
            (self.calls.div_ceil(10), self.batches.div_ceil(5))
        } else {
            (self.calls, self.batches)
        };
        for _ in 0..batches.div_ceil(10).max(3) {
            batch(calls)?;
        }
        let takes = (0..batches).map(|_| batch(calls));
        Figure::of(takes.collect::<Result<_>>()?, calls)
    }

    /// Instructions of so many calls.
    fn batch(&self, hand: &Hand, memory: &Memory, calls: u64) -> Result<u64> {
        let (start, bytes) = (memory.at(0), self.pages * PAGE);
        if matches!(self.call, Call::Register | Call::Unregister) {
            let each = (0..calls).map(|_| self.call.once(hand, start, bytes));
            return each.sum();
        }
        let begun = clock::now();
        (0..calls).try_for_each(|_| hand.pin(start, bytes))?;
        Ok(clock::now() - begun)
    }

    fn side_by_side(&self, threads: u64) -> Result<Figure> {
        ensure!(
            std::thread::available_parallelism()?.get() as u64 >= threads,
            "{} threads on {} CPUs: give the guest more (`cargo xtask vm --icount --smp {}`)",
            threads,
            std::thread::available_parallelism()?,
            threads
        );
        let (calls, batches) = (self.calls * 100, self.batches.div_ceil(5));
        let gate = Barrier::new(usize::try_from(threads)?);
        let begun = AtomicU64::new(0);
        let one = |thread: u64| -> Result<Vec<u64>> {
            let mut ready = clock::stay_on(thread)
                .and_then(|()| Ok((Hand::ready(self.call.by())?, self.memory()?)));
            let mut takes = Vec::new();
            for _ in 0..=batches {
                // Whoever failed still comes to the gate: the others wait there.
                if gate.wait().is_leader() {
                    begun.store(clock::now(), Ordering::SeqCst);
                }
                gate.wait();
                ready = ready.and_then(|(hand, memory)| {
                    self.batch(&hand, &memory, calls)?;
                    Ok((hand, memory))
                });
                gate.wait();
                takes.push(clock::now() - begun.load(Ordering::SeqCst));
            }
            ready?;
            Ok(takes)
        };
        let all = std::thread::scope(|scope| {
            let one = &one;
            let workers: Vec<_> = (0..threads)
                .map(|thread| scope.spawn(move || one(thread)))
                .collect();
            let joined = workers.into_iter().map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
            });
            joined.collect::<Result<Vec<_>>>()
        })?;
        // All threads read the clock behind the same gate: the first to do so is the nearest to the end of the work. The
        // first batch warms up.
        let takes = (1..=usize::try_from(batches)?)
            .map(|batch| all.iter().map(|takes| takes[batch]).min().unwrap_or(0));
        Figure::of(takes.collect(), calls * threads)
    }

    fn memory(&self) -> Result<Memory> {
        match self.from.as_str() {
            "anon" => Memory::of_base_pages(self.pages),
            "thp" => Memory::huge(self.pages),
            from if from.starts_with("/dev/") => {
                let name = from.trim_start_matches("/dev/");
                Memory::device(from.as_ref(), region::align(name)?, self.pages)
            }
            other => bail!("--from {other:?}: use anon, thp, or a device such as /dev/dax0.0"),
        }
    }
}
