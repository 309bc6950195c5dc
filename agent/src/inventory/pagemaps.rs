//! The live pagemaps by the kernel's own list: the xarray `pgmap_array` (mm/memremap.c), which holds each
//! `struct dev_pagemap` (include/linux/memremap.h) under the page frames of its ranges.

use anyhow::{Context as _, Result, bail, ensure};
use daxscope_common::{layout::ABSENT, memremap::RANGES};

use super::{Altmap, Pagemap, Range, xarray};
use crate::kernel::{addresses::Addresses, btf::Btf, facts::Facts, memory::Memory};

/// The variable that holds the list.
pub const VARIABLE: &str = "pgmap_array";

/// How often a list is read anew that changed while it was read.
const ATTEMPTS: u32 = 8;

/// `PGMAP_ALTMAP_VALID`, include/linux/memremap.h, the same in 5.10 to 7.3.
const ALTMAP_VALID: u32 = 1;

/// Largest `vmemmap_shift` that makes sense: beyond it a page would not fit into 52 bits of physical address.
const SHIFTS: u64 = 40;

/// All that is needed to walk the list, any number of times.
pub struct Walker {
    pub(super) array: u64,
    pub(super) tree: xarray::Layout,
    pub(super) at: Offsets,
    /// Names of `enum memory_type`.
    pub(super) types: Vec<(u32, String)>,
    pub(super) page_shift: u32,
}

/// What a walk found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// By physical address. Of each, `backing` and `pins` are not looked at yet.
    pub pagemaps: Vec<Pagemap>,
    /// Why an entry of the list was left out, for each one that was.
    pub skipped: Vec<String>,
}

/// Where the fields of `struct dev_pagemap` are; bytes.
#[derive(Clone, Debug)]
pub struct Offsets {
    pub ranges: u32,
    pub nr_range: u32,
    pub kind: u32,
    pub flags: u32,
    /// `None` where all pagemaps have the geometry of a base page.
    pub shift: Option<u32>,
    /// `base_pfn`, `reserve`, `free`, `alloc` of the altmap.
    pub altmap: [u32; 4],
}

impl Walker {
    /// # Errors
    /// When the kernel does not say where the list is, or how it is built.
    pub fn of(btf: &Btf, facts: &Facts, addresses: &Addresses) -> Result<Self> {
        let offset = |of: &str, member: &str| {
            btf.offset(of, member)
                .with_context(|| format!("BTF has no {of}.{member}"))
        };
        let altmap = offset("dev_pagemap", "altmap")?;
        let inside = |member| offset("vmem_altmap", member).map(|inside| altmap + inside);
        let shift = facts.layout.pgmap_shift;
        Ok(Self {
            array: addresses.of(VARIABLE)?,
            tree: xarray::Layout::of(btf)?,
            at: Offsets {
                ranges: offset("dev_pagemap", "ranges")?,
                nr_range: offset("dev_pagemap", "nr_range")?,
                kind: offset("dev_pagemap", "type")?,
                flags: offset("dev_pagemap", "flags")?,
                shift: (shift != ABSENT).then_some(shift),
                altmap: [
                    inside("base_pfn")?,
                    inside("reserve")?,
                    inside("free")?,
                    inside("alloc")?,
                ],
            },
            page_shift: facts.layout.page_shift,
            types: facts.memory_types.clone(),
        })
    }

    /// Walks the list. A pagemap is in it from before its struct pages are made until after they are gone; it is found
    /// from when its first range is done.
    ///
    /// # Errors
    /// When it cannot be read, or changes all the time.
    pub fn pagemaps(&self, memory: &mut impl Memory) -> Result<Found> {
        let mut attempt = 1;
        let pointers = loop {
            match self.tree.pointers(memory, self.array) {
                Ok(pointers) => break pointers,
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => {
                    return Err(error.context(format!(
                        "{VARIABLE} cannot be followed, tried {ATTEMPTS} times"
                    )));
                }
            }
        };
        let mut found = Found::default();
        for (pgmap, index) in pointers {
            match self.pagemap(memory, pgmap, index) {
                Ok(pagemap) => found.pagemaps.extend(pagemap),
                Err(error) => found.skipped.push(format!("{error:#}")),
            }
        }
        found.pagemaps.sort_by_key(|pagemap| pagemap.ranges[0]);
        Ok(found)
    }

    /// The structure at an address, which is in the list under the page frame `index`; `None` if it is just coming up:
    /// `memremap_pages` counts a range when it is done with it (mm/memremap.c; seen on 5.10 to 6.12).
    fn pagemap(&self, memory: &mut impl Memory, pgmap: u64, index: u64) -> Result<Option<Pagemap>> {
        let at = |offset: u32| pgmap.wrapping_add(u64::from(offset));
        let count = memory.u32(at(self.at.nr_range))?;
        if count == 0 {
            return Ok(None);
        }
        ensure!(
            (1..=RANGES).contains(&count),
            "a pagemap has {count} ranges, where 1 to {RANGES} are read"
        );
        let mut ranges = vec![];
        for n in 0..u64::from(count) {
            let word = |n| at(self.at.ranges).wrapping_add(8 * n);
            ranges.push(self.range(memory.u64(word(2 * n))?, memory.u64(word(2 * n + 1))?)?);
        }
        let address = index << self.page_shift;
        ensure!(
            ranges.iter().any(|r| (r.start..=r.end).contains(&address)),
            "a pagemap is listed where none of its ranges is"
        );
        let kind_value = memory.u32(at(self.at.kind))?;
        let kind = self.types.iter().find(|(value, _)| *value == kind_value);
        let shift = match self.at.shift {
            Some(offset) => memory.u64(at(offset))?,
            None => 0,
        };
        ensure!(shift <= SHIFTS, "a pagemap has the vmemmap_shift {shift}");
        let altmap = if memory.u32(at(self.at.flags))? & ALTMAP_VALID == 0 {
            None
        } else {
            let mut words = [0; 4];
            for (word, offset) in words.iter_mut().zip(self.at.altmap) {
                *word = memory.u64(at(offset))?;
            }
            let [base_pfn, reserve, free, alloc] = words;
            Some(Altmap {
                base_pfn,
                reserve,
                free,
                alloc: Some(alloc),
            })
        };
        Ok(Some(Pagemap {
            pgmap,
            ranges,
            kind: kind.map_or_else(|| "unknown".into(), |(_, name)| name.clone()),
            kind_value,
            shift: Ok(u32::try_from(shift)?),
            altmap,
            backing: Err(NOT_YET.into()),
            pins: Err(NOT_YET.into()),
        }))
    }

    fn range(&self, start: u64, end: u64) -> Result<Range> {
        let inside = (1 << self.page_shift) - 1;
        if start > end || start & inside != 0 || end & inside != inside || end >> PHYSICAL != 0 {
            bail!("what should be a range of a pagemap is none");
        }
        Ok(Range { start, end })
    }
}

/// Bits of a physical address at most (arm64 with LPA2, x86-64 with five levels).
const PHYSICAL: u32 = 52;

const NOT_YET: &str = "not looked at";
