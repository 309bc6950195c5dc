//! What the kernel side must know of a session that somebody asks for: filters and dimensions, as it compares them.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use daxscope_common::{
    geometry::{FIRST, SLOTS, SYSTEM, UNKNOWN},
    session::{DEVICES, Key, Session, Wanted},
};

use super::Asked;
use crate::{
    inventory::names::{Device, Names, SYSFS},
    kernel::{Kernel, facts},
    probes::{gup, session::Wants},
    session::{by::By, cgroups::Cgroups, filters::How},
    text,
};

impl Asked {
    /// What is to be counted.
    ///
    /// # Errors
    /// When a filter names what is not there, or what this kernel cannot tell.
    pub fn wants(&self, kernel: &Kernel, page_shift: u32) -> Result<Wants> {
        let points = self.points()?;
        let mut wants = Wants {
            session: Session {
                on: 1,
                points: points.iter().fold(0, |bits, number| bits | 1 << number),
                by: self.by.iter().fold(0, |bits, by| bits | bits_of(*by)),
                events: u32::from(self.events),
                longterm: u32::from(self.filters.longterm),
                geometries: u32::MAX,
                kstack: u32::from(self.wants_any(&[By::Kstack, By::Caller])),
                ustack: u32::from(self.wants_any(&[By::Ustack])),
                min_pages: self.filters.min_pages.unwrap_or(0),
                tree: u32::from(!self.command.is_empty()),
                ..Session::OFF
            },
            points: Self::beside(&points, kernel.btf.is_ok()),
            wanted: vec![],
            shifts: vec![],
        };
        if self.events {
            wants.session.by |= Key::TASK;
        }
        if let Some(least) = self.filters.min_latency {
            let ns = u64::try_from(least.as_nanos());
            wants.session.min_ns = ns.context("--min-latency is longer than any call")?;
        }
        if !self.command.is_empty() {
            wants.session.task_pid = facts::task_pid(kernel.btf.as_ref())?;
        }
        let gives_back = |number: &u32| gup::FAMILY.has(*number) && gup::how(*number) == How::Unpin;
        ensure!(
            !(points.iter().any(gives_back)
                && (wants.session.min_ns > 0
                    || wants.session.min_pages > 0
                    || self.filters.longterm)),
            "--min-latency, --min-pages and --longterm are of requests: they cannot be given with --how unpin"
        );
        self.geometries(&mut wants, page_shift)?;
        self.tasks(&mut wants)?;
        self.devices(&mut wants)?;
        Ok(wants)
    }

    fn wants_any(&self, by: &[By]) -> bool {
        self.by.iter().any(|asked| by.contains(asked))
    }

    fn geometries(&self, wants: &mut Wants, page_shift: u32) -> Result<()> {
        if self.filters.geometry.is_empty() {
            return Ok(());
        }
        wants.session.geometries = 0;
        for name in &self.filters.geometry {
            let slot = match name.as_str() {
                "system" => SYSTEM,
                "unknown" => UNKNOWN,
                size => {
                    let shift = power(size).and_then(|power| power.checked_sub(page_shift));
                    let shift = shift.with_context(|| {
                        format!("--geometry {size}: no page has that size; say 4K, 2M, 1G, system or unknown")
                    })?;
                    wants.shifts.push(shift);
                    FIRST + u32::try_from(wants.shifts.len() - 1)?
                }
            };
            if slot as usize >= SLOTS {
                bail!(
                    "--geometry: at most {} sizes can be told apart",
                    SLOTS - FIRST as usize
                );
            }
            wants.session.geometries |= 1 << slot;
        }
        Ok(())
    }

    fn tasks(&self, wants: &mut Wants) -> Result<()> {
        for pid in &self.filters.pid {
            want(wants, Wanted::PID, [u64::from(*pid), 0]);
        }
        for comm in &self.filters.comm {
            want(wants, Wanted::COMM, comm_words(comm)?);
        }
        if !self.filters.cgroup.is_empty() {
            let cgroups = Cgroups::new()?;
            for path in &self.filters.cgroup {
                let (id, _) = cgroups
                    .find(path)
                    .with_context(|| format!("--cgroup {path}"))?;
                want(wants, Wanted::CGROUP, [id, 0]);
            }
        }
        Ok(())
    }

    fn devices(&self, wants: &mut Wants) -> Result<()> {
        if self.filters.device.is_empty() {
            return Ok(());
        }
        let names = Names::read(SYSFS.as_ref());
        let mut spans = vec![];
        for name in &self.filters.device {
            if name == "system" {
                spans.push([Key::SYSTEM; 2]);
                continue;
            }
            let called = |device: &&Device| {
                device.device == *name || device.namespace.as_deref() == Some(name)
            };
            let Some(device) = names.devices().iter().find(called) else {
                let there = names.devices().iter().map(|device| device.device.as_str());
                let there: Vec<_> = there.chain(["system"]).collect();
                bail!(
                    "--device {name}: no such device; there are {}",
                    there.join(", ")
                );
            };
            let ranges = device.ranges.as_ref();
            let ranges = ranges.map_err(|reason| anyhow!("--device {name}: {reason}"))?;
            spans.extend(ranges.iter().map(|range| [range.start, range.end]));
        }
        ensure!(
            spans.len() <= DEVICES,
            "--device: at most {DEVICES} ranges of memory can be told apart, and these have {}",
            spans.len()
        );
        wants.session.wanted |= Wanted::DEVICE;
        wants.session.devices[..spans.len()].copy_from_slice(&spans);
        Ok(())
    }
}

/// Lets a call be wanted that has a value.
fn want(wants: &mut Wants, kind: u32, value: [u64; 2]) {
    wants.session.wanted |= kind;
    wants.wanted.push(Wanted {
        kind,
        pad: 0,
        value,
    });
}

/// The members of [`Key`] that a dimension is made of.
const fn bits_of(by: By) -> u32 {
    match by {
        By::Geometry => Key::GEOMETRY,
        By::Entry | By::How => Key::POINT,
        By::Device => Key::DEVICE,
        By::Comm => Key::COMM,
        By::Pid => Key::PID,
        By::Tgid => Key::TGID,
        By::Cgroup => Key::CGROUP,
        // What was called is where a stack begins.
        By::Caller | By::Kstack => Key::KSTACK | Key::POINT,
        // Addresses are those of a process.
        By::Ustack => Key::USTACK | Key::TGID,
        By::Errno => Key::ERRNO,
        By::Longterm => Key::LONGTERM,
    }
}

/// The 16 bytes that the kernel keeps of a thread's name, ended by zeros (`TASK_COMM_LEN`, include/linux/sched.h).
fn comm_words(name: &str) -> Result<[u64; 2]> {
    let name = text::native(name);
    ensure!(
        name.len() < 16,
        "--comm {}: the kernel keeps 15 bytes of a thread's name: {}",
        text::foreign(&name),
        text::foreign(&name[..15])
    );
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(&name);
    let word = |n: usize| u64::from_ne_bytes(std::array::from_fn(|i| bytes[8 * n + i]));
    Ok([word(0), word(1)])
}

/// `4K`, `2M`, `1G`, in any case: the power of two of so many bytes.
fn power(size: &str) -> Option<u32> {
    let size = size.to_ascii_uppercase();
    let units = [("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    let (digits, unit) = units
        .into_iter()
        .find_map(|(unit, power)| Some((size.strip_suffix(unit)?, power)))?;
    let number: u64 = digits.parse().ok()?;
    number
        .is_power_of_two()
        .then(|| number.trailing_zeros() + unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two() {
        for (size, shift) in [("4K", Some(12)), ("2m", Some(21)), ("1G", Some(30))] {
            assert_eq!(power(size), shift);
        }
        for size in ["", "K", "3K", "4", "4KB", "-4K"] {
            assert_eq!(power(size), None, "{size}");
        }
    }

    #[test]
    fn names_of_threads_are_as_the_kernel_keeps_them() {
        assert_eq!(
            comm_words("ab").expect("short"),
            [u64::from_ne_bytes(*b"ab\0\0\0\0\0\0"), 0]
        );
        assert!(comm_words("0123456789abcdef").is_err());
    }
}
