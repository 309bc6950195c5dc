//! Where the kernel keeps a few of its variables. They stay in this process: nothing prints them.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader},
};

use anyhow::{Context as _, Result, bail};

pub(super) const SYMBOLS: &str = "/proc/kallsyms";
/// Why they are all zero, and the remedy.
pub(super) const HIDDEN: &str = "/proc/kallsyms hides the kernel's addresses: it shows them with CAP_SYSLOG (or root) and \
                                 kernel.kptr_restrict at most 1";

/// Addresses by name.
pub struct Addresses(HashMap<&'static str, u64>);

impl Addresses {
    /// Looks for variables in `/proc/kallsyms`, which has them with `CONFIG_KALLSYMS_ALL`.
    ///
    /// # Errors
    /// When the kernel hides its addresses, with the remedy.
    pub fn read(wanted: &[&'static str]) -> Result<Self> {
        let list = File::open(SYMBOLS).with_context(|| format!("cannot read {SYMBOLS}"))?;
        Self::from(BufReader::with_capacity(1 << 16, list), wanted)
    }

    /// From a list in the form of `/proc/kallsyms`.
    pub(crate) fn from(mut list: impl BufRead, wanted: &[&'static str]) -> Result<Self> {
        let mut found = HashMap::new();
        let mut line = String::new();
        let mut shown = false;
        while matches!(list.read_line(&mut line), Ok(n) if n > 0) {
            let mut columns = line.split_ascii_whitespace();
            if let (Some(address), Some(_), Some(name), None) = (
                columns.next(),
                columns.next(),
                columns.next(),
                columns.next(),
            ) && let Some(name) = wanted.iter().find(|wanted| **wanted == name)
                && let Ok(address) = u64::from_str_radix(address, 16)
            {
                shown |= address != 0;
                // A name that is there twice says nothing.
                let unclear = found.insert(*name, address).is_some();
                if unclear {
                    found.insert(*name, 0);
                }
            }
            line.clear();
        }
        if !found.is_empty() && !shown {
            bail!(HIDDEN);
        }
        found.retain(|_, address| *address != 0);
        Ok(Self(found))
    }

    /// The address of a variable.
    ///
    /// # Errors
    /// When the kernel has none of that name, or does not list it.
    pub fn of(&self, name: &str) -> Result<u64> {
        self.0.get(name).copied().with_context(|| {
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
