//! Pins on the pages of a pagemap now, as the pages count them themselves (`Documentation/core-api/pin_user_pages.rst`):
//! a compound page in a counter of its own, a base page in its reference count, 1024 for each pin.

use anyhow::{Context as _, Result, ensure};
use daxscope_common::layout::ABSENT;

use super::{
    Pagemap, Pins,
    memmap::{MemoryMap, Span},
};
use crate::kernel::{
    btf::Btf,
    facts::Facts,
    memory::{Memory, PAGE, Page},
};

/// `GUP_PIN_COUNTING_BIAS` is `1 << 10`: include/linux/mm.h, the same in 5.10 to 7.3.
const BIAS: u32 = 10;

/// Where pages count; bytes from the start of a (head) page.
pub struct Counts {
    pub(super) map: MemoryMap,
    pub(super) flags: u64,
    /// The bit of `flags` that says that the page is the head of others.
    pub(super) head: u64,
    /// The word whose bit 0 says that the page is a tail.
    pub(super) tail: u64,
    pub(super) refcount: u64,
    pub(super) pincount: u64,
}

impl Counts {
    /// # Errors
    /// When the BTF lacks one of them.
    pub fn of(btf: &Btf, facts: &Facts, map: MemoryMap) -> Result<Self> {
        let bits = btf.enumerators("pageflags");
        let head = bits.iter().find(|(name, _)| name == "PG_head");
        let (_, head) = head.context("BTF has no PG_head")?;
        let refcount = btf.offset("page", "_refcount");
        let layout = &facts.layout;
        ensure!(
            layout.page_word != ABSENT,
            "where a tail page says that it is one is not known"
        );
        ensure!(
            PAGE.is_multiple_of(map.page_size),
            "struct pages of {} bytes lie across pages",
            map.page_size
        );
        Ok(Self {
            map,
            flags: layout.page_flags.into(),
            head: 1u64.checked_shl(*head).context("PG_head is no bit")?,
            tail: layout.page_word.into(),
            refcount: refcount.context("BTF has no page._refcount")?.into(),
            pincount: pincount(btf, map.page_size).context("BTF has no counter of pins")?,
        })
    }

    /// Adds up the pins on all pages, or when there is no `more` time on the first ones.
    ///
    /// # Errors
    /// When memory cannot be read.
    pub fn pins(
        &self,
        memory: &mut impl Memory,
        pagemap: &Pagemap,
        mut more: impl FnMut() -> bool,
    ) -> Result<Pins> {
        let shift = *pagemap.shift.as_ref().map_err(|e| anyhow::anyhow!("{e}"))?;
        let unit = self.map.page_size.checked_shl(shift).unwrap_or(u64::MAX);
        let spans = self.map.initialised(pagemap)?;
        let mut pins = Pins {
            units: spans.iter().map(|span| (span.to - span.from) / unit).sum(),
            ..Pins::default()
        };
        for span in spans {
            if shift == 0 {
                self.base_pages(memory, span, &mut pins, &mut more)?;
            } else {
                self.compound_pages(memory, span, unit, &mut pins, &mut more)?;
            }
        }
        Ok(pins)
    }

    /// Compound pages of one size, which follow each other (`memmap_init_zone_device`, `mm/mm_init.c`).
    fn compound_pages(
        &self,
        memory: &mut impl Memory,
        span: Span,
        unit: u64,
        pins: &mut Pins,
        more: &mut impl FnMut() -> bool,
    ) -> Result<()> {
        for n in 0..(span.to - span.from) / unit {
            if !more() {
                break;
            }
            let page = span.from + n * unit;
            let flags = memory.u64(page.wrapping_add(self.flags))?;
            ensure!(
                flags & self.head != 0,
                "a compound page is not where it should be"
            );
            pins.pages += u64::from(memory.u32(page.wrapping_add(self.pincount))?);
            pins.looked += 1;
        }
        Ok(())
    }

    /// Pages that are of one base page each, unless a file system has put some together (fs/dax.c, since 6.15).
    fn base_pages(
        &self,
        memory: &mut impl Memory,
        span: Span,
        pins: &mut Pins,
        more: &mut impl FnMut() -> bool,
    ) -> Result<()> {
        let mut heads = vec![];
        for part in (0..span.count(PAGE)).map_while(|n| span.nth(PAGE, n)) {
            if !more() {
                break;
            }
            let words = memory.page(part.from)?;
            let mut page = part.from;
            while page < part.to {
                if word(words, page.wrapping_add(self.tail)) & 1 == 1 {
                    // Its head counts.
                } else if word(words, page.wrapping_add(self.flags)) & self.head != 0 {
                    heads.push(page);
                } else {
                    let references = half(words, page.wrapping_add(self.refcount));
                    // A count below zero is of a page that is being freed, or broken.
                    pins.pages +=
                        u64::from(references.cast_signed().max(0).cast_unsigned() >> BIAS);
                }
                pins.looked += 1;
                page += self.map.page_size;
            }
            for head in heads.drain(..) {
                pins.pages += u64::from(memory.u32(head.wrapping_add(self.pincount))?);
            }
        }
        Ok(())
    }
}

/// Of a head page: `folio._pincount` since 6.1, `page.compound_pincount` of the first tail since 5.18,
/// `page.hpage_pinned_refcount` of the second before (`include/linux/mm_types.h` of 5.10, 5.17, 5.19, 6.1).
fn pincount(btf: &Btf, page_size: u64) -> Option<u64> {
    let of = |structure, member, tails| {
        let offset: u64 = btf.offset(structure, member)?.into();
        Some(tails * page_size + offset)
    };
    of("folio", "_pincount", 0)
        .or_else(|| of("page", "compound_pincount", 1))
        .or_else(|| of("page", "hpage_pinned_refcount", 2))
}

fn word(page: &Page, address: u64) -> u64 {
    page[index(address, 8)]
}

fn half(page: &Page, address: u64) -> u32 {
    let bytes = word(page, address).to_ne_bytes();
    let (low, high) = bytes.split_at(4);
    let half = if address & 4 == 0 { low } else { high };
    half.try_into().map_or(0, u32::from_ne_bytes)
}

fn index(address: u64, size: u64) -> usize {
    usize::try_from(address % PAGE / size).unwrap_or_default()
}
