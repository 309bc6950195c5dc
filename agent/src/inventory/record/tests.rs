//! The walks, through memory recorded in guests: on four NVDIMMs of 1, 1, 2 and 1 GiB namespaces of devdax 4K, 2M and
//! 1G with `map=mem`, and fsdax with `map=dev`.

use super::{
    super::{
        Backing, Pagemap, Pins, Range,
        backing::Surveyor,
        memmap::MemoryMap,
        pagemaps::{Offsets, Walker},
        pins::Counts,
        xarray,
    },
    Recorded,
};
use crate::kernel::{
    addresses::Addresses, facts::Facts, memory::Memory as _, nodes::Nodes, paging::PageTables,
};

const RECORDINGS: [(&str, &str); 4] = [
    ("5.10", include_str!("../../../tests/memory/5.10.txt")),
    ("6.1", include_str!("../../../tests/memory/6.1.txt")),
    ("6.12", include_str!("../../../tests/memory/6.12.txt")),
    ("7.3", include_str!("../../../tests/memory/7.3.txt")),
];
const GIB: u64 = 1 << 30;

struct Guest {
    memory: Recorded,
    walker: Walker,
    addresses: Addresses,
    facts: Facts,
    /// `flags`, `head`, `tail`, `refcount`, `pincount` of [`Counts`].
    counts: Vec<u64>,
}

impl Guest {
    fn of(text: &str) -> Self {
        let mut memory = Recorded::default();
        let (mut symbols, mut at) = (String::new(), 0);
        let (mut walker, mut layout, mut counts, mut types) = (vec![], vec![], vec![], vec![]);
        let hex = |word: &str| u64::from_str_radix(word, 16).expect("a number");
        for line in text.lines() {
            let (key, rest) = line.split_once(' ').expect("two words");
            let numbers = || rest.split(' ').map(|n| n.parse::<i64>().expect("a number"));
            match key {
                "kernel" => {}
                "symbol" => symbols.extend([rest, "\n"]),
                "walker" => walker = numbers().map(|n| u32::try_from(n).ok()).collect(),
                "layout" => layout = numbers().map(|n| u32::try_from(n).expect("fits")).collect(),
                "counts" => counts = numbers().map(i64::cast_unsigned).collect(),
                "type" => {
                    let (value, name) = rest.split_once(' ').expect("two words");
                    types.push((value.parse().expect("a number"), name.to_owned()));
                }
                "at" => {
                    at = hex(rest);
                    memory.word(at);
                }
                word => {
                    let (value, times) = rest.split_once(' ').unwrap_or((rest, "1"));
                    for n in 0..hex(times) {
                        *memory.word(at + 8 * (hex(word) + n)) = hex(value);
                    }
                }
            }
        }
        let variables = [
            "pgmap_array",
            "vmemmap_base",
            "page_offset_base",
            "init_top_pgt",
            "sme_me_mask",
        ];
        let addresses = Addresses::from(symbols.as_bytes(), &variables).expect("symbols");
        let mut facts = Facts::read(Err(&anyhow::anyhow!("recorded")));
        facts.geometry_unknown = None;
        facts.layout.page_flags = layout[0];
        facts.layout.page_size = layout[1];
        facts.layout.page_shift = layout[2];
        facts.layout.zone_shift = layout[3];
        facts.layout.zone_mask = layout[4];
        let offset = |n: usize| walker[n].expect("an offset");
        let walker = Walker {
            array: addresses.of("pgmap_array").expect("a symbol"),
            tree: xarray::Layout {
                head: offset(0),
                node_shift: offset(1),
                node_array: offset(2),
                node_slots: offset(3),
                slots: offset(4),
            },
            at: Offsets {
                ranges: offset(5),
                nr_range: offset(6),
                kind: offset(7),
                flags: offset(8),
                shift: walker[9],
                altmap: [offset(10), offset(11), offset(12), offset(13)],
            },
            types,
            page_shift: layout[2],
        };
        Self {
            memory,
            walker,
            addresses,
            facts,
            counts,
        }
    }

    /// A look at everything, with so many steps of each kind before the time is over.
    fn look(&mut self, steps: u64) -> anyhow::Result<(Vec<Pagemap>, Vec<String>)> {
        let memory = &mut self.memory;
        let mut found = self.walker.pagemaps(memory)?;
        let tables = PageTables::of(&self.addresses, memory)?;
        let map = MemoryMap::of(&self.facts, &tables)?;
        // All RAM of the guests is on node 0; memory blocks have 128 MiB.
        let nodes = Nodes::of((0..40).map(|block| (block, 0)).collect(), 1 << 15);
        let surveyor = Surveyor::of(&self.facts, map, tables, nodes);
        let [flags, head, tail, refcount, pincount] = self.counts[..].try_into()?;
        let counts = Counts {
            map,
            flags,
            head,
            tail,
            refcount,
            pincount,
        };
        for pagemap in &mut found.pagemaps {
            let clock = || {
                let mut left = steps;
                move || {
                    left = left.saturating_sub(1);
                    left > 0
                }
            };
            let words = |error: anyhow::Error| format!("{error:#}");
            pagemap.backing = surveyor.measure(memory, pagemap, clock()).map_err(words);
            pagemap.pins = counts.pins(memory, pagemap, clock()).map_err(words);
        }
        Ok((found.pagemaps, found.skipped))
    }

    /// Of all pagemaps the one of a kind, a shift and a length.
    fn one(&mut self, steps: u64, kind: &str, shift: u32, bytes: u64) -> Pagemap {
        let (pagemaps, skipped) = self.look(steps).expect("a list");
        assert_eq!(skipped, Vec::<String>::new());
        assert_eq!(pagemaps.len(), 4);
        let wanted =
            |p: &Pagemap| p.kind == kind && p.shift == Ok(shift) && p.ranges[0].bytes() == bytes;
        let found = pagemaps.into_iter().find(wanted);
        found.unwrap_or_else(|| panic!("no {kind} of shift {shift}"))
    }
}

fn guests() -> impl Iterator<Item = (&'static str, Guest)> {
    RECORDINGS
        .into_iter()
        .map(|(name, text)| (name, Guest::of(text)))
}

/// Geometries are younger than 5.10.
fn shift(kernel: &str, shift: u32) -> u32 {
    if kernel == "5.10" { 0 } else { shift }
}

fn ram(pages: u64, tables: u64, pieces: u64) -> Backing {
    Backing {
        ram: [(0, pages << 12)].into(),
        device: 0,
        tables: tables << 12,
        pieces,
        looked: pieces,
    }
}

#[test]
fn ranges_are_those_of_the_devices() {
    for (kernel, mut guest) in guests() {
        let (pagemaps, _) = guest.look(u64::MAX).expect("a list");
        let mut start = 5 * GIB;
        for (pagemap, gib) in pagemaps.iter().zip([1, 1, 2, 1]) {
            let end = start + gib * GIB - 1;
            assert_eq!(pagemap.ranges, [Range { start, end }], "{kernel}");
            start = end + 1;
        }
    }
}

/// For R bytes: R/2^18 pages without deduplication, two for each compound page with it, and R/2^27 tables
/// (`Documentation/mm/vmemmap_dedup.rst`).
#[test]
fn bytes_are_those_of_arithmetic() {
    for (kernel, mut guest) in guests() {
        let base = guest.one(u64::MAX, "generic", 0, GIB);
        assert_eq!(base.backing, Ok(ram(4096, 0, 8)), "{kernel} 4K");
        let fsdax = guest.one(u64::MAX, "fs_dax", 0, GIB);
        let backing = fsdax.backing.expect("measured");
        assert_eq!(
            (backing.ram_bytes(), backing.device, backing.tables),
            (0, 4096 << 12, 0)
        );
        assert_eq!(
            fsdax.altmap.and_then(|altmap| altmap.alloc),
            Some(4096),
            "{kernel}"
        );
        let (huge, giant) = (shift(kernel, 9), shift(kernel, 18));
        let (pages, tables) = if huge == 9 { (4, 16) } else { (8192, 0) };
        let giant = guest.one(u64::MAX, "generic", giant, 2 * GIB);
        assert_eq!(giant.backing, Ok(ram(pages, tables, 16)), "{kernel} 1G");
        if huge == 9 {
            let huge = guest.one(u64::MAX, "generic", 9, GIB);
            assert_eq!(huge.backing, Ok(ram(1024, 8, 8)), "{kernel} 2M");
        }
    }
}

/// One piece, or all pieces of one compound page, stand for all.
#[test]
fn a_sample_says_the_same_of_what_is_alike() {
    for (kernel, mut guest) in guests() {
        for (n, bytes) in [(9, GIB), (18, 2 * GIB), (0, GIB)] {
            let n = shift(kernel, n);
            let whole = guest
                .one(u64::MAX, "generic", n, bytes)
                .backing
                .expect("measured");
            let part = guest.one(0, "generic", n, bytes).backing.expect("measured");
            assert!(
                part.looked < part.pieces && whole.complete(),
                "{kernel} {n}"
            );
            assert_eq!(
                Backing {
                    looked: whole.looked,
                    ..part
                },
                whole,
                "{kernel} {n}"
            );
        }
    }
}

#[test]
fn nobody_pins() {
    for (kernel, mut guest) in guests() {
        // Compound pages are all on record, base pages those of three pages of the memory map.
        let pins = guest.one(4, "generic", 0, GIB).pins;
        let looked = 3 * 64;
        assert_eq!(
            pins,
            Ok(Pins {
                pages: 0,
                units: GIB >> 12,
                looked
            }),
            "{kernel}"
        );
        if shift(kernel, 18) == 18 {
            let pins = guest.one(u64::MAX, "generic", 18, 2 * GIB).pins;
            assert_eq!(
                pins,
                Ok(Pins {
                    pages: 0,
                    units: 2,
                    looked: 2
                }),
                "{kernel}"
            );
        }
    }
}

/// A pin on a base page is 1024 references, one on a compound page is in its own counter.
#[test]
fn pins_are_seen() {
    for (kernel, mut guest) in guests() {
        let tables = PageTables::of(&guest.addresses, &mut guest.memory).expect("tables");
        let map = MemoryMap::of(&guest.facts, &tables).expect("a memory map");
        let base = guest.one(4, "generic", 0, GIB).ranges[0].start >> 12;
        let page = map.page(base + 7).expect("a page");
        let references = page + guest.counts[3];
        *guest.memory.word(references) += 3 << 10 << (8 * (references % 8));
        assert_eq!(
            guest.one(4, "generic", 0, GIB).pins.expect("read").pages,
            3,
            "{kernel}"
        );
        if shift(kernel, 18) == 18 {
            let giant = guest.one(4, "generic", 18, 2 * GIB).ranges[0].start >> 12;
            let count = map.page(giant + (1 << 18)).expect("a page") + guest.counts[4];
            *guest.memory.word(count) += 5 << (8 * (count % 8));
            let pins = guest.one(4, "generic", 18, 2 * GIB).pins;
            assert_eq!(pins.expect("read").pages, 5, "{kernel}");
        }
    }
}

/// Memory that is not what it should be, or changes under the walk, is an error or another figure; never the end of
/// the program, nor a walk without one.
#[test]
fn nothing_that_memory_holds_stops_the_agent() {
    const TIMES: usize = 100;
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    let (mut refused, mut read) = (0, 0);
    for (_, mut guest) in guests() {
        let pristine = guest.memory.clone();
        let mut words: Vec<u64> = vec![];
        for (address, page) in &pristine.0 {
            let used = (0..).zip(page.iter()).filter(|(_, word)| **word != 0);
            // Of a table of the last level, or of struct pages, some are enough.
            words.extend(used.map(|(n, _)| address + 8 * n).take(16));
        }
        for _ in 0..TIMES {
            guest.memory = pristine.clone();
            for _ in 0..=random(3) {
                let other = words[random(words.len())];
                let other = *guest.memory.word(other);
                let word = guest.memory.word(words[random(words.len())]);
                *word = match random(6) {
                    0 => 0,
                    1 => u64::MAX,
                    2 => other,
                    3 => *word ^ 1 << random(64),
                    4 => other ^ 1 << random(12),
                    _ => word.wrapping_add(8),
                };
            }
            match guest.look(200) {
                Ok((found, skipped)) => {
                    refused += skipped.len();
                    refused += found.iter().filter(|p| p.backing.is_err()).count();
                    read += found.len();
                }
                Err(_) => refused += 1,
            }
        }
    }
    let enough = TIMES * RECORDINGS.len();
    assert!(
        refused > enough / 10 && read > enough,
        "{refused} refused, {read} read"
    );
}

#[test]
fn a_tree_that_leads_in_circles_is_refused() {
    for (kernel, mut guest) in guests() {
        let head = guest.walker.array + 8;
        let node = guest.memory.u64(head).expect("a head") - 2;
        *guest.memory.word(node + 40) = node + 2;
        let error = guest.look(9).err().map(|error| format!("{error:#}"));
        assert!(
            error.as_ref().is_some_and(|e| e.contains("level")),
            "{kernel}: {error:?}"
        );
    }
}
