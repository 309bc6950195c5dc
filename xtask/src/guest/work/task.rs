//! One kind of request, made again and again.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use super::slow::{Bounds, Slow};
use crate::guest::pin::{By, Hand, Memory, Piece, vm_readv_errno, vmsplice_errno};
use crate::guest::region::{self, PAGE};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    pub by: By,
    pub from: Source,
    /// Pages that each request asks for.
    pub per_call: u64,
    pub calls: u64,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    System,
    /// A device-dax device.
    Device(PathBuf),
    /// As many pages of the system as of a device behind them.
    Border(PathBuf),
    /// Addresses where nothing is: refused with EFAULT.
    Hole,
    /// Only the first half is there: granted in part.
    Cut,
    /// A page that comes late, each time later than before.
    Slow,
}

impl Task {
    /// Pages that each request gets.
    pub fn granted(&self) -> u64 {
        match self.from {
            Source::Hole => 0,
            Source::Cut => self.per_call / 2,
            _ => self.per_call,
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}:", self.by.name())?;
        match &self.from {
            Source::System => write!(out, "system")?,
            Source::Device(path) => write!(out, "{}", path.display())?,
            Source::Border(path) => write!(out, "system+{}", path.display())?,
            Source::Hole => write!(out, "hole")?,
            Source::Cut => write!(out, "cut")?,
            Source::Slow => write!(out, "slow")?,
        }
        write!(out, ":{}:{}", self.per_call, self.calls)
    }
}

impl FromStr for Task {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Task> {
        let words: Vec<&str> = text.split(':').collect();
        let [by, from, per_call, calls] = words[..] else {
            bail!("{text:?} is not BY:FROM:PAGES:CALLS");
        };
        let from = match from {
            "system" => Source::System,
            "hole" => Source::Hole,
            "cut" => Source::Cut,
            "slow" => Source::Slow,
            path => match path.strip_prefix("system+") {
                Some(path) => Source::Border(path.into()),
                None => Source::Device(path.into()),
            },
        };
        Ok(Task {
            by: By::from_str(by, false).map_err(anyhow::Error::msg)?,
            from,
            per_call: per_call.parse()?,
            calls: calls.parse()?,
        })
    }
}

/// A task with all that it needs.
pub struct Job<'a> {
    task: &'a Task,
    hand: Hand,
    memory: Memory,
    /// The first page that is asked for.
    first: u64,
    slow: Option<Slow>,
}

impl<'a> Job<'a> {
    pub fn ready(task: &'a Task) -> Result<Job<'a>> {
        let (most, pages) = (task.by.most_per_call(), task.per_call);
        ensure!(
            (1..=most).contains(&pages),
            "{task}: a call takes 1 to {most} pages"
        );
        let (mut first, mut slow) = (0, None);
        let memory = match &task.from {
            Source::System => Memory::of_base_pages(2 * pages)?,
            Source::Device(path) => Memory::device(path, align(path)?, 2 * pages)?,
            Source::Border(path) => {
                let align = align(path)?;
                let all = align / PAGE;
                ensure!(
                    pages.is_multiple_of(2) && pages / 2 <= all,
                    "{task}: halves of at most {all} pages"
                );
                first = all - pages / 2;
                let piece = |device| Piece {
                    pages: all,
                    device,
                    align,
                };
                Memory::patchwork(&[piece(None), piece(Some((path.as_path(), 0)))])?
            }
            Source::Hole => {
                // The address is kept free behind a page that is there.
                let mut memory = Memory::anonymous(1 + pages)?;
                memory.cut(1)?;
                first = 1;
                memory
            }
            Source::Cut => {
                let mut memory = Memory::anonymous(pages)?;
                memory.cut(pages / 2)?;
                memory
            }
            Source::Slow => {
                let memory = Memory::untouched(task.calls)?;
                slow = Some(Slow::on(&memory)?);
                memory
            }
        };
        Ok(Job {
            task,
            hand: Hand::ready(task.by)?,
            memory,
            first,
            slow,
        })
    }

    /// Bounds of how long each call took, of those that come late.
    pub fn carry_out(&self) -> Result<Vec<Bounds>> {
        let did = match &self.slow {
            Some(slow) => slow.pin(&self.hand, &self.memory, self.task.calls),
            None => (0..self.task.calls)
                .try_for_each(|call| self.request(call))
                .map(|()| vec![]),
        };
        did.with_context(|| format!("{}", self.task))
    }

    fn request(&self, call: u64) -> Result<()> {
        let Task {
            by,
            ref from,
            per_call,
            ..
        } = *self.task;
        let bytes = per_call * PAGE;
        let first = self
            .memory
            .at(0)
            .wrapping_add(usize::try_from(self.first * PAGE)?);
        let errno = match (from, by) {
            (Source::Hole | Source::Cut, By::ProcessVmReadv) => vm_readv_errno(first, bytes),
            (Source::Hole, By::Vmsplice) => vmsplice_errno(first, bytes)?,
            (Source::Hole | Source::Cut, _) => bail!("no driver for that"),
            // From odd places too.
            (Source::System | Source::Device(_), _) => {
                return self.hand.pin(self.memory.at(call % per_call), bytes);
            }
            (Source::Border(_) | Source::Slow, _) => return self.hand.pin(first, bytes),
        };
        let expected = (*from == Source::Hole).then_some(libc::EFAULT);
        ensure!(errno == expected, "errno is {errno:?}, not {expected:?}");
        Ok(())
    }
}

fn align(device: &std::path::Path) -> Result<u64> {
    let name = device.file_name().context("a device without a name")?;
    region::align(&name.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_what_it_is_written_as() {
        for text in [
            "process_vm_readv:system:1000:5",
            "o_direct:/dev/dax1.0:256:12",
            "process_vm_readv:system+/dev/dax1.0:64:2",
            "vmsplice:hole:4:3",
            "process_vm_readv:cut:8:3",
            "process_vm_readv:slow:1:20",
        ] {
            assert_eq!(text.parse::<Task>().unwrap().to_string(), text);
        }
        for text in [
            "vmsplice:system:4",
            "splice:system:4:3",
            "vmsplice:system:x:3",
        ] {
            assert!(text.parse::<Task>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_granted_follows_from_what_is_asked() {
        let granted = |text: &str| text.parse::<Task>().unwrap().granted();
        assert_eq!(granted("vmsplice:hole:4:3"), 0);
        assert_eq!(granted("process_vm_readv:cut:8:3"), 4);
        assert_eq!(granted("process_vm_readv:system:8:3"), 8);
    }
}
