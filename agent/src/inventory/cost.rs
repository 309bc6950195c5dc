//! What the struct pages of a pagemap cost, by the formula of this kernel: the arithmetic of `__populate_section_memmap`
//! and what it calls (mm/sparse-vmemmap.c, `arch/x86/mm/init_64.c`), section by section. Measured figures go before
//! these; a formula tells what is not measured, and what another layout would cost.

use std::{borrow::Cow, fmt, iter::Sum, ops::Add};

use super::Range;
use crate::kernel::Kernel;

/// Of x86-64, in bytes: a page, what one entry of the second level of page tables maps, and the unit in which memory
/// maps are populated (`SECTION_SIZE_BITS`, arch/x86/include/asm/sparsemem.h).
const PAGE_SHIFT: u32 = 12;
const PAGE: u64 = 1 << PAGE_SHIFT;
const PMD: u64 = 2 << 20;
const SECTION: u64 = 128 << 20;
/// `SUBSECTION_SIZE` (include/linux/mmzone.h): compounds above this span several calls of the populate.
const SUBSECTION: u64 = 2 << 20;
/// Pages of struct pages that a deduplicated compound has of its own: the first, and the one that stands for all tail
/// pages (`VMEMMAP_RESERVE_NR`, include/linux/mm.h). To be one in later kernels; then measured and formula disagree.
const OWN_PAGES: u64 = 2;

/// Memory for the struct pages of a pagemap, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Struct pages in RAM.
    pub ram: u64,
    /// Struct pages on the device itself.
    pub device: u64,
    /// Page tables of the last level that map struct pages one by one; always in RAM.
    pub tables: u64,
}

/// How the running kernel populates memory maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `sizeof(struct page)`; a power of two, 64 or more.
    pub struct_page: u64,
    /// Whether pagemaps have a geometry at all (`dev_pagemap.vmemmap_shift`, 5.17).
    pub geometries: bool,
    /// Whether it can let the tail pages of a compound share their struct pages (5.19).
    pub deduplicates: bool,
}

/// The word of a [`Why`] where nobody can tell.
pub const UNKNOWN: &str = "unknown";

/// Why something is not so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// In a few words that never change: the label `reason`.
    pub word: &'static str,
    /// For people.
    pub sentence: Cow<'static, str>,
}

impl Why {
    /// From a word and a sentence.
    #[must_use]
    pub fn new(word: &'static str, sentence: impl Into<Cow<'static, str>>) -> Self {
        let sentence = sentence.into();
        Self { word, sentence }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.word, self.sentence)
    }
}

impl Rules {
    /// Asks the kernel's BTF.
    ///
    /// # Errors
    /// Why there is no formula.
    pub fn read(kernel: &Kernel) -> Result<Self, Why> {
        let arch = std::env::consts::ARCH;
        if arch != "x86_64" {
            let only = format!("no formula for {arch}, only for x86_64");
            return Err(Why::new("architecture", only));
        }
        let unknown = |sentence: &str| Why::new(UNKNOWN, sentence.to_owned());
        let btf = kernel.btf.as_ref();
        let btf = btf.map_err(|error| unknown(&format!("{error:#}")))?;
        let size = btf.size("page");
        let struct_page = size.ok_or_else(|| unknown("BTF has no struct page"))?;
        // Other sizes make sections share blocks, and are not deduplicated.
        if !struct_page.is_power_of_two() || struct_page < 64 {
            let size = format!("{struct_page} bytes; the formula is for powers of two from 64");
            return Err(Why::new("struct page size", size));
        }
        let geometries = btf.offset("dev_pagemap", "vmemmap_shift").is_some();
        let mut deduplicates = false;
        if geometries {
            // The pagemap came to it as a parameter together with the deduplication: commit 4917f55b4ef9.
            let populate = btf.function("__populate_section_memmap").ok_or_else(|| {
                unknown("BTF has no __populate_section_memmap, by which to tell deduplication")
            })?;
            deduplicates = populate.parameters.iter().any(|name| name == "pgmap");
        }
        Ok(Self {
            struct_page: struct_page.into(),
            geometries,
            deduplicates,
        })
    }

    /// What a pagemap costs that has these ranges and that `vmemmap_shift`.
    #[must_use]
    pub fn cost(&self, ranges: &[Range], shift: u32, altmap: bool) -> Cost {
        let compound = match self.deduplicated(shift, altmap) {
            Ok(()) => Some(PAGE << shift),
            Err(_) => None,
        };
        let of = |range: &Range| {
            let parts = sections(range);
            parts
                .map(|part| self.part(range.start, part, compound, altmap))
                .sum()
        };
        ranges.iter().map(of).sum()
    }

    /// Whether struct pages would be deduplicated (`vmemmap_can_optimize`, include/linux/mm.h).
    ///
    /// # Errors
    /// Why not.
    pub fn deduplicated(&self, shift: u32, altmap: bool) -> Result<(), Why> {
        let (word, sentence) = if !self.geometries {
            (
                "kernel too old",
                "its pagemaps have no geometry, all are 4K",
            )
        } else if shift == 0 {
            (
                "geometry 4K",
                "each struct page describes a base page of its own",
            )
        } else if altmap {
            (
                "altmap",
                "struct pages on the device (map=dev) are never deduplicated",
            )
        } else if !self.deduplicates {
            ("kernel too old", "it has geometries, but no deduplication")
        } else if (self.struct_page << shift) / PAGE <= OWN_PAGES {
            (
                "compound too small",
                "its struct pages fill no more pages than would be left",
            )
        } else {
            return Ok(());
        };
        Err(Why::new(word, sentence))
    }

    /// What is populated by one call, for a part of a section or a whole one. A part beside memory that was there at
    /// boot may cost nothing (`section_activate`, mm/sparse.c), which is not known here.
    fn part(&self, start: u64, part: Range, compound: Option<u64>, altmap: bool) -> Cost {
        let map = (part.bytes() >> PAGE_SHIFT) * self.struct_page;
        let tables = map.div_ceil(PMD) * PAGE;
        let Some(compound) = compound else {
            return match (part.bytes() == SECTION, altmap) {
                // Whole sections are mapped by blocks, without page tables of the last level.
                (true, true) => Cost {
                    device: map,
                    ..Cost::default()
                },
                (true, false) => Cost {
                    ram: map,
                    ..Cost::default()
                },
                // Parts of a section take base pages from RAM, altmap or not (`vmemmap_populate`).
                (false, _) => Cost {
                    ram: map.next_multiple_of(PAGE),
                    device: 0,
                    tables,
                },
            };
        };
        // A part inside a compound that began in an earlier one only maps that one's tail page again
        // (`reuse_compound_section`).
        let continues = compound > SUBSECTION && !(part.start - start).is_multiple_of(compound);
        let compounds = if continues {
            0
        } else {
            part.bytes().div_ceil(compound)
        };
        Cost {
            ram: compounds * OWN_PAGES * PAGE,
            device: 0,
            tables,
        }
    }
}

/// A range cut where sections end, as `__add_pages` (`mm/memory_hotplug.c`) does it.
fn sections(range: &Range) -> impl Iterator<Item = Range> {
    let last = range.end;
    let mut next = Some(range.start);
    std::iter::from_fn(move || {
        let start = next?;
        let end = (start | (SECTION - 1)).min(last);
        next = (end < last).then(|| end + 1);
        Some(Range { start, end })
    })
}

impl Cost {
    /// Bytes of RAM, page tables included.
    #[must_use]
    pub const fn in_ram(&self) -> u64 {
        self.ram + self.tables
    }

    /// All of it.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.ram + self.device + self.tables
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            ram: self.ram + other.ram,
            device: self.device + other.device,
            tables: self.tables + other.tables,
        }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;
    const DEDUP: Rules = Rules {
        struct_page: 64,
        geometries: true,
        deduplicates: true,
    };
    /// 5.17 and 5.18.
    const GEOMETRIES: Rules = Rules {
        deduplicates: false,
        ..DEDUP
    };
    /// 5.10.
    const NONE: Rules = Rules {
        geometries: false,
        ..GEOMETRIES
    };
    const SHIFTS: [u32; 3] = [0, 9, 18];

    fn span(start: u64, bytes: u64) -> [Range; 1] {
        [Range {
            start,
            end: start + bytes - 1,
        }]
    }

    /// In pages: RAM, device, page tables.
    fn pages(rules: Rules, bytes: u64, shift: u32, altmap: bool) -> [u64; 3] {
        let cost = rules.cost(&span(5 * GIB, bytes), shift, altmap);
        [cost.ram, cost.device, cost.tables].map(|bytes| bytes / PAGE)
    }

    #[test]
    fn figures_are_those_that_guests_measured() {
        // nr_memmap_pages of 6.12, and the blocks handed out there and in 6.18.
        let gib = |n, shift| pages(DEDUP, n * GIB, shift, false);
        assert_eq!(SHIFTS.map(|shift| gib(2, shift)[0]), [8192, 2048, 4]);
        assert_eq!(gib(1, 0), [4096, 0, 0]);
        assert_eq!(gib(1, 9), [1024, 0, 8]);
        assert_eq!(gib(3, 18), [6, 0, 24]);
    }

    #[test]
    fn a_tebibyte_costs_what_the_series_promised() {
        // 16 GiB; 4 GiB and 32 MiB of page tables; 8 MiB and as many page tables.
        let mib = |shift| pages(DEDUP, 1024 * GIB, shift, false).map(|pages| pages / 256);
        assert_eq!(SHIFTS.map(mib), [[16384, 0, 0], [4096, 0, 32], [8, 0, 32]]);
    }

    #[test]
    fn without_deduplication_every_geometry_costs_the_same() {
        for shift in SHIFTS {
            for rules in [GEOMETRIES, NONE] {
                assert_eq!(pages(rules, 2 * GIB, shift, false), [8192, 0, 0]);
            }
            for rules in [DEDUP, GEOMETRIES, NONE] {
                assert_eq!(pages(rules, 2 * GIB, shift, true), [0, 8192, 0]);
            }
        }
    }

    #[test]
    fn odd_edges_take_base_pages_from_ram() {
        // 16 MiB beyond a whole section: 64 pages of struct pages and one page table.
        let bytes = GIB + 16 * MIB;
        assert_eq!(pages(DEDUP, bytes, 0, false), [4096 + 64, 0, 1]);
        assert_eq!(pages(DEDUP, bytes, 0, true), [64, 4096, 1]);
        assert_eq!(pages(DEDUP, bytes, 9, false), [1024 + 16, 0, 9]);
        // A gibibyte that begins and ends amid a section touches nine.
        let cost = DEDUP.cost(&span(5 * GIB + 64 * MIB, GIB), 0, false);
        let expected = Cost {
            ram: 4096 * PAGE,
            device: 0,
            tables: 2 * PAGE,
        };
        assert_eq!(cost, expected);
        // Ranges are added up, to the end of what can be addressed.
        let top = Range {
            start: u64::MAX - (SECTION - 1),
            end: u64::MAX,
        };
        let both = [span(0, SECTION)[0], top];
        assert_eq!(DEDUP.cost(&both, 0, false).ram, 2 * PMD);
    }

    #[test]
    fn a_compound_of_several_sections_has_its_own_pages_once() {
        // A second compound begins in the last half gibibyte.
        assert_eq!(pages(DEDUP, GIB + GIB / 2, 18, false), [4, 0, 12]);
    }

    #[test]
    fn reasons_are_told_in_the_order_of_what_to_change_first() {
        let why = |rules: Rules, shift, altmap| {
            let why = rules.deduplicated(shift, altmap).err();
            why.map_or("", |why| why.word)
        };
        assert_eq!(why(DEDUP, 9, false), "");
        assert_eq!(why(DEDUP, 0, true), "geometry 4K");
        assert_eq!(why(DEDUP, 9, true), "altmap");
        assert_eq!(why(DEDUP, 1, false), "compound too small");
        assert_eq!(why(GEOMETRIES, 9, false), "kernel too old");
        assert_eq!(why(NONE, 9, false), "kernel too old");
    }
}
