//! Where the kernel keeps a few of its variables and functions. The addresses stay in this process: nothing prints them.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Seek as _},
    os::fd::AsFd as _,
};

use anyhow::{Context as _, Result, bail};

#[cfg(test)]
use super::symbols;
use super::symbols::Line;

pub(super) const SYMBOLS: &str = "/proc/kallsyms";
/// Why they are all zero, and the remedy.
pub(super) const HIDDEN: &str = "/proc/kallsyms hides the kernel's addresses: it shows them with CAP_SYSLOG (or root) and \
                                 kernel.kptr_restrict at most 1";

/// Opens the kernel's list of symbols; or takes standard input, if that is the list. It shows addresses to whom its opener was
/// (`kallsyms_show_value(file->f_cred)` in `kallsyms_open`, kernel/kallsyms.c): with `StandardInput=file:/proc/kallsyms` that
/// is systemd, and a service needs no `CAP_SYSLOG`.
pub(super) fn open() -> io::Result<File> {
    if !fs::read_link("/proc/self/fd/0").is_ok_and(|input| input.as_os_str() == SYMBOLS) {
        return File::open(SYMBOLS);
    }
    let mut list = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    list.rewind()?;
    Ok(list)
}

/// Addresses by name.
#[derive(Debug, Default)]
pub struct Addresses {
    found: HashMap<&'static str, u64>,
    /// Where the next symbol begins, by where one that was found does.
    ends: HashMap<u64, u64>,
    last: Option<u64>,
    shown: bool,
}

impl Addresses {
    /// From a list in the form of `/proc/kallsyms`.
    ///
    /// # Errors
    /// As [`Self::shown`].
    #[cfg(test)]
    pub(crate) fn from(list: impl std::io::BufRead, wanted: &[&'static str]) -> Result<Self> {
        let mut found = Self::default();
        symbols::each(list, |line| {
            found.note(line, wanted);
            true
        });
        found.shown()
    }

    /// Notes a line of `/proc/kallsyms`, which has variables with `CONFIG_KALLSYMS_ALL`. Lines are in the order of addresses.
    pub(super) fn note(&mut self, line: &Line, wanted: &[&'static str]) {
        if let Some(last) = self.last
            && let Some(address) = line.address()
            && address != last
        {
            self.ends.insert(last, address);
            self.last = None;
        }
        if !line.module
            && let Some(name) = wanted.iter().find(|name| name.as_bytes() == line.name)
            && let Some(address) = line.address()
        {
            self.shown |= address != 0;
            self.last = Some(address);
            // A name that is there twice says nothing.
            if self.found.insert(name, address).is_some() {
                self.found.insert(name, 0);
            }
        }
    }

    /// What was noted.
    ///
    /// # Errors
    /// When the kernel hides its addresses, with the remedy.
    pub(super) fn shown(mut self) -> Result<Self> {
        if !self.found.is_empty() && !self.shown {
            bail!(HIDDEN);
        }
        self.found.retain(|_, address| *address != 0);
        Ok(self)
    }

    /// Where a function begins and the next symbol does, if that is known.
    #[must_use]
    pub fn extent(&self, name: &str) -> Option<std::ops::Range<u64>> {
        let start = *self.found.get(name)?;
        let end = *self.ends.get(&start)?;
        (start < end).then_some(start..end)
    }

    /// The address of a variable or function.
    ///
    /// # Errors
    /// When the kernel has none of that name, or does not list it.
    pub fn of(&self, name: &str) -> Result<u64> {
        self.found.get(name).copied().with_context(|| {
            format!("{SYMBOLS} does not list `{name}` (a kernel without it, or without CONFIG_KALLSYMS_ALL)")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: [&str; 2] = ["pgmap_array", "vmemmap_base"];

    #[test]
    fn variables_of_the_kernel_itself() {
        let list = "ffffffff9e37b740 D vmemmap_base\nffffffffc0000000 b pgmap_array [other]\n\
                    ffffffff9fdf3d30 b pgmap_array\n";
        let found = Addresses::from(list.as_bytes(), &WANTED).expect("addresses");
        assert_eq!(
            found.of("vmemmap_base").expect("listed"),
            0xffff_ffff_9e37_b740
        );
        assert_eq!(
            found.of("pgmap_array").expect("listed"),
            0xffff_ffff_9fdf_3d30
        );
    }

    #[test]
    fn a_function_ends_where_the_next_symbol_begins() {
        let list = "0000000000001000 D vmemmap_base\n0000000000001000 D alias\n0000000000001040 D next\n\
                    0000000000002000 b pgmap_array\n";
        let found = Addresses::from(list.as_bytes(), &WANTED).expect("addresses");
        assert_eq!(found.extent("vmemmap_base"), Some(0x1000..0x1040));
        assert_eq!(found.extent("pgmap_array"), None);
    }

    #[test]
    fn what_is_hidden_absent_or_unclear_is_said() {
        let refused = |list: &str| Addresses::from(list.as_bytes(), &WANTED).err();
        let words = refused("0000000000000000 b pgmap_array\n").expect("hidden");
        assert!(words.to_string().contains("kptr_restrict"), "{words}");
        let twice = "ffffffff00000000 b pgmap_array\nffffffff00000008 b pgmap_array\n";
        let found = Addresses::from(twice.as_bytes(), &WANTED).expect("addresses");
        assert!(found.of("pgmap_array").is_err());
        let words = found.of("vmemmap_base").expect_err("absent").to_string();
        assert!(words.contains("CONFIG_KALLSYMS_ALL"), "{words}");
    }
}
