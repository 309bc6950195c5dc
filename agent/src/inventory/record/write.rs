//! Writes a recording of the running kernel's pagemaps.

use std::fmt::Write as _;

use anyhow::Result;

use super::{
    super::{
        backing::Surveyor,
        memmap::MemoryMap,
        pagemaps::{VARIABLE, Walker},
        pins::Counts,
        reader::Reader,
    },
    Recorded,
};
use crate::kernel::{
    Kernel,
    facts::Facts,
    memory::{Memory, Page, Unreadable},
    nodes::Nodes,
    paging::{self, PageTables},
};

/// Pages of a memory map of which the pins are recorded at most: a sample is enough.
const PAGES_OF_PINS: u32 = 4;

/// Remembers what is read through it.
struct Recorder {
    reader: Reader,
    recorded: Recorded,
}

impl Memory for Recorder {
    fn page(&mut self, address: u64) -> Result<&Page, Unreadable> {
        let page = *self.reader.page(address)?;
        for (n, word) in (0..).zip(page) {
            *self.recorded.word((address & !4095) + 8 * n) = word;
        }
        self.recorded.page(address)
    }

    /// Only the words that are asked for: what is beside them is nobody's business.
    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), Unreadable> {
        self.reader.read(address, into)?;
        for word in address / 8..(address + into.len() as u64).div_ceil(8) {
            *self.recorded.word(8 * word) = self.reader.u64(8 * word)?;
        }
        Ok(())
    }
}

/// Takes one.
///
/// # Errors
/// When the kernel cannot be read.
pub fn record(kernel: &Kernel) -> Result<String> {
    let btf = kernel.btf.as_ref();
    let btf = btf.map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let variables = [&[VARIABLE], paging::VARIABLES].concat();
    let addresses = kernel.symbols.addresses.as_ref();
    let addresses = addresses.map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let facts = Facts::read(Ok(btf));
    let mut memory = Recorder {
        reader: Reader::load()?,
        recorded: Recorded::default(),
    };
    let walker = Walker::of(btf, &facts, addresses)?;
    let found = walker.pagemaps(&mut memory)?;
    let tables = PageTables::of(addresses, &mut memory)?;
    let map = MemoryMap::of(&facts, &tables)?;
    let surveyor = Surveyor::of(&facts, map, tables, Nodes::read(map.page_shift)?);
    let counts = Counts::of(btf, &facts, map)?;
    for pagemap in &found.pagemaps {
        surveyor.measure(&mut memory, pagemap, || true)?;
        let mut left = PAGES_OF_PINS;
        let more = || {
            left = left.saturating_sub(1);
            left > 0
        };
        counts.pins(&mut memory, pagemap, more)?;
    }
    let mut text = format!("kernel {}\n", kernel.release);
    for name in variables {
        if let Ok(address) = addresses.of(name) {
            writeln!(text, "symbol {address:016x} D {name}")?;
        }
    }
    let (tree, at, layout) = (&walker.tree, &walker.at, &facts.layout);
    let shift = at.shift.map_or(-1, i64::from);
    let [base_pfn, reserve, free, alloc] = at.altmap;
    writeln!(
        text,
        "walker {} {} {} {} {} {} {} {} {} {shift} {base_pfn} {reserve} {free} {alloc}",
        tree.head,
        tree.node_shift,
        tree.node_array,
        tree.node_slots,
        tree.slots,
        at.ranges,
        at.nr_range,
        at.kind,
        at.flags,
    )?;
    writeln!(
        text,
        "layout {} {} {} {} {}",
        layout.page_flags, layout.page_size, layout.page_shift, layout.zone_shift, layout.zone_mask
    )?;
    writeln!(
        text,
        "counts {} {} {} {} {}",
        counts.flags, counts.head, counts.tail, counts.refcount, counts.pincount
    )?;
    for (value, name) in &walker.types {
        writeln!(text, "type {value} {name}")?;
    }
    pages(&mut text, &memory.recorded)?;
    Ok(text)
}

fn pages(text: &mut String, recorded: &Recorded) -> Result<()> {
    for (address, page) in &recorded.0 {
        writeln!(text, "at {address:x}")?;
        let mut word = 0;
        for same in page.chunk_by(|a, b| a == b) {
            match (same[0], same.len()) {
                (0, _) => {}
                (value, 1) => writeln!(text, "{word:x} {value:x}")?,
                (value, times) => writeln!(text, "{word:x} {value:x} {times:x}")?,
            }
            word += same.len();
        }
    }
    Ok(())
}
