//! What the struct pages of a region take, by arithmetic alone: the rules of x86-64 in `Documentation/mm/vmemmap_dedup.rst`
//! and `vmemmap_populate` (`arch/x86/mm/init_64.c`), which the agent does not share.

use super::{Geometry, Map, PAGE, SECTION, STRUCT_PAGE};

/// All in base pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Pages of RAM that hold struct pages.
    pub ram: u64,
    /// Pages of the device that do.
    pub device: u64,
    /// Page tables that map pieces of the memory map page by page.
    pub tables: u64,
    /// Whether tail pages share their memory.
    pub deduplicated: bool,
}

impl Account {
    /// Of `bytes` from `start` on, both multiples of the geometry.
    pub fn of(start: u64, bytes: u64, geometry: Geometry, map: Map) -> Account {
        let deduplicated = map == Map::Mem && vmemmap_pages(geometry.bytes) > 2;
        let mut account = Account {
            deduplicated,
            ..Account::default()
        };
        let end = start + bytes;
        let mut at = start;
        while at < end {
            let next = (at + 1).next_multiple_of(SECTION).min(end);
            let whole = next - at == SECTION;
            // A whole section is mapped by one entry of 2 MiB. Part of one is mapped page by page, and its
            // pages come from RAM even with map=dev: vmemmap_populate() hands the altmap on for whole ones only.
            match map {
                _ if deduplicated => {}
                Map::Dev if whole => account.device += vmemmap_pages(next - at),
                _ => account.ram += vmemmap_pages(next - at),
            }
            account.tables += u64::from(deduplicated || !whole);
            at = next;
        }
        if deduplicated {
            // The head's page and one for all tails (`VMEMMAP_RESERVE_NR`). Kernels with `vmemmap_shift` but without
            // deduplication (5.17, 5.18) are not told apart.
            account.ram = bytes / geometry.bytes * 2;
        }
        account
    }

    /// What `nr_memmap_pages` counts where it is right.
    pub fn memmap_pages(self) -> u64 {
        self.ram + self.device
    }
}

fn vmemmap_pages(bytes: u64) -> u64 {
    bytes / PAGE * STRUCT_PAGE / PAGE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::region::GEOMETRIES;

    const GIB: u64 = 1 << 30;

    fn of(bytes: u64, geometry: usize, map: Map) -> [u64; 3] {
        let account = Account::of(5 * GIB, bytes, GEOMETRIES[geometry], map);
        [account.ram, account.device, account.tables]
    }

    #[test]
    fn whole_sections_follow_the_measured_table() {
        // nr_memmap_pages of 6.12 with 1 GiB, 1 GiB and 3 GiB, and vmemmap_alloc_block beyond it.
        assert_eq!(of(GIB, 0, Map::Mem), [4096, 0, 0]);
        assert_eq!(of(GIB, 1, Map::Mem), [1024, 0, 8]);
        assert_eq!(of(3 * GIB, 2, Map::Mem), [6, 0, 24]);
        assert_eq!(of(GIB, 1, Map::Dev), [0, 4096, 0]);
    }

    #[test]
    fn part_of_a_section_is_ram_page_by_page() {
        // 1040 MiB, measured on 6.12: nr_memmap_pages +4160 (4K, and 2M on the device), +1040 (2M).
        let odd = GIB + (16 << 20);
        assert_eq!(of(odd, 0, Map::Mem), [4160, 0, 1]);
        assert_eq!(of(odd, 1, Map::Mem), [1040, 0, 9]);
        assert_eq!(of(odd, 1, Map::Dev), [64, 4096, 1]);
        // From 16 MiB into a section on: a part, seven whole ones, a part.
        let account = Account::of(odd, odd, GEOMETRIES[0], Map::Dev);
        let parts = vmemmap_pages(odd - 7 * SECTION);
        assert_eq!([account.ram, account.tables], [parts, 2]);
    }
}
