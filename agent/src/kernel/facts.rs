//! What the kernel side must know of the running kernel: offsets and values from its BTF, and the few facts that
//! no BTF holds, each with its source. Versions are named to say where a fact was read; none is ever compared.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use daxscope_common::layout::{ABSENT, Layout};

use super::btf::{Btf, VMLINUX};

/// `FOLL_PIN` while the FOLL flags were macros, which BTF does not hold: include/linux/mm.h of 5.10, 5.15, 6.1.
/// In 6.6 and later they are an enum, in BTF, with other values.
const FOLL_PIN_MACRO: u32 = 0x40000;
/// `FOLL_LONGTERM`, from the same places.
const FOLL_LONGTERM_MACRO: u32 = 0x10000;

/// `FOLL_GET`, from the same places.
const FOLL_GET_MACRO: u32 = 0x4;

/// What was found out about the running kernel.
#[derive(Clone, Debug)]
pub struct Facts {
    pub layout: Layout,
    /// Names of `enum memory_type`, by value, in the form of the `type` label.
    pub memory_types: Vec<(u32, String)>,
    /// Why geometries cannot be told, where that is so.
    pub geometry_unknown: Option<String>,
    /// The `vmemmap_shift`s that a device may have (`dax_align_valid`, drivers/dax/dax-private.h): 0, and where
    /// pagemaps have geometries, the orders of a PMD and a PUD.
    pub shifts: Vec<u32>,
    /// How a program may read kernel memory by a load, where it may.
    pub cast: Option<Cast>,
    /// Whether the kernel counts the runs of kprobe programs that it leaves out: since 6.7, by the series that also
    /// brought `bpf_link_info.kprobe_multi.missed`.
    pub kprobes_count_misses: bool,
}

/// Numbers of the running kernel's types: the function `bpf_rdonly_cast` (6.2: a35b9af4ec2c), and `struct page`, of which the
/// first word is a number.
#[derive(Clone, Debug)]
pub struct Cast {
    pub function: u32,
    pub kind: u32,
}

impl Cast {
    fn of(btf: &Btf, layout: &Layout) -> Option<Self> {
        // Numbers out of a file that somebody gave may be those of another build.
        if btf.path != Path::new(VMLINUX) || layout.page_flags != 0 {
            return None;
        }
        Some(Self {
            function: btf.function_id("bpf_rdonly_cast")?,
            kind: btf.structure_id("page")?,
        })
    }
}

impl Facts {
    /// Reads the facts from BTF; what is missing stays [`ABSENT`], with the reason.
    #[must_use]
    pub fn read(btf: Result<&Btf, &anyhow::Error>) -> Self {
        let page_shift = page_shift();
        let mut layout = Layout {
            page_shift,
            ..Layout::UNKNOWN
        };
        let btf = match btf {
            Ok(btf) => btf,
            Err(error) => {
                return Self {
                    layout,
                    memory_types: vec![],
                    geometry_unknown: Some(format!("{error:#}")),
                    shifts: vec![],
                    cast: None,
                    kprobes_count_misses: false,
                };
            }
        };
        let offset = |member| btf.offset("dev_pagemap", member).unwrap_or(ABSENT);
        layout.pgmap_shift = offset("vmemmap_shift");
        layout.pgmap_type = offset("type");
        layout.pgmap_nr_range = offset("nr_range");
        layout.pgmap_ranges = offset("ranges");
        layout.pgmap_flags = offset("flags");
        let altmap = |member| {
            let inside = btf.offset("vmem_altmap", member)?;
            Some(btf.offset("dev_pagemap", "altmap")? + inside)
        };
        layout.altmap_base_pfn = altmap("base_pfn").unwrap_or(ABSENT);
        layout.altmap_reserve = altmap("reserve").unwrap_or(ABSENT);
        layout.altmap_free = altmap("free").unwrap_or(ABSENT);
        layout.altmap_alloc = altmap("alloc").unwrap_or(ABSENT);
        layout.task_mm = btf.offset("task_struct", "mm").unwrap_or(ABSENT);
        layout.mm_pgd = btf.offset("mm_struct", "pgd").unwrap_or(ABSENT);
        layout.page_size = btf.size("page").unwrap_or(0);
        let foll_pin = btf.anonymous_enumerator("FOLL_PIN");
        layout.foll_pin = foll_pin.unwrap_or(FOLL_PIN_MACRO);
        // While they were macros, the fast entry points and `pin_user_pages_unlocked` called `get_user_pages_unlocked`,
        // with flags that no caller from outside sets. Since 6.3 they are an enum, and nobody inside calls it
        // (d64e2dbc33a1, "mm/gup: simplify the external interface functions and consolidate invariants").
        layout.foll_inner = match foll_pin {
            None => FOLL_GET_MACRO | FOLL_PIN_MACRO,
            Some(_) => 0,
        };
        // Since 5.17 (f92c1e183604); the verifier makes it a load.
        let helpers = btf.enumerators("bpf_func_id");
        let has = |name: &str| helpers.iter().any(|(found, _)| found == name);
        layout.func_arg = u32::from(has("BPF_FUNC_get_func_arg"));
        layout.foll_longterm = btf
            .anonymous_enumerator("FOLL_LONGTERM")
            .unwrap_or(FOLL_LONGTERM_MACRO);
        let flags = btf.enumerators("pageflags");
        let head = flags.iter().find(|(name, _)| name == "PG_head");
        layout.page_head = head.map_or(ABSENT, |(_, bit)| *bit);
        let geometry_unknown = page_words(btf, &mut layout)
            .and_then(|()| zone_bits(btf, &mut layout))
            .err()
            .map(|error| format!("{error:#}"));
        let cast = Cast::of(btf, &layout);
        layout.cast = u32::from(cast.is_some());
        // One level of page table holds a page of 8-byte entries.
        let level = page_shift - 3;
        let shifts = if layout.pgmap_shift == ABSENT {
            vec![0]
        } else {
            vec![0, level, 2 * level]
        };
        Self {
            layout,
            memory_types: memory_types(btf),
            geometry_unknown,
            shifts,
            cast,
            kprobes_count_misses: btf.has("bpf_link_info", &["kprobe_multi", "missed"]),
        }
    }
}

/// Where a task has its number, in bytes.
///
/// # Errors
/// When there is no BTF to tell it.
pub fn task_pid(btf: Result<&Btf, &anyhow::Error>) -> Result<u32> {
    let btf = btf.map_err(|error| {
        anyhow::anyhow!("the processes of a command cannot be followed: {error:#}")
    })?;
    btf.offset("task_struct", "pid")
        .context("BTF has no task_struct.pid")
}

/// Bits of an address inside of a base page.
#[must_use]
pub fn page_shift() -> u32 {
    // SAFETY: no pointer is involved.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    size.trailing_zeros()
}

/// Where a page says what it belongs to (`include/linux/mm_types.h`). The pagemap is `page.pgmap` up to 6.14 and
/// `folio.pgmap` since (commit 82ba975e4c43), and shares its word with `compound_head`, which 7.1 calls
/// `compound_info`.
fn page_words(btf: &Btf, layout: &mut Layout) -> Result<()> {
    layout.page_flags = btf
        .offset("page", "flags")
        .context("BTF has no page.flags")?;
    let tail = btf
        .offset("page", "compound_head")
        .or_else(|| btf.offset("page", "compound_info"))
        .context("BTF has neither page.compound_head nor page.compound_info")?;
    let pgmap = btf
        .offset("page", "pgmap")
        .or_else(|| btf.offset("folio", "pgmap"))
        .context("BTF has neither page.pgmap nor folio.pgmap")?;
    ensure!(
        tail == pgmap,
        "the words compound_head (at {tail}) and pgmap (at {pgmap}) of a page are not one"
    );
    layout.page_word = pgmap;
    Ok(())
}

/// Where the zone of a page stands in its flags. Neither `NODES_SHIFT` nor `ZONES_PGSHIFT` is in BTF, but a type
/// made of them is: `struct zonelist` has `MAX_NUMNODES * MAX_NR_ZONES + 1` elements (include/linux/mmzone.h).
/// From the top of the word: node, zone (include/linux/page-flags-layout.h; no section number where there is a
/// virtual memory map, without which there is no `ZONE_DEVICE`).
fn zone_bits(btf: &Btf, layout: &mut Layout) -> Result<()> {
    let zones = btf.enumerators("zone_type");
    let value = |name: &str| {
        let found = zones.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| *value)
    };
    let Some(device) = value("ZONE_DEVICE") else {
        bail!("this kernel has no ZONE_DEVICE (CONFIG_ZONE_DEVICE)");
    };
    let count = value("__MAX_NR_ZONES").context("BTF has no __MAX_NR_ZONES")?;
    let refs = btf
        .array_len("zonelist", "_zonerefs")
        .context("BTF has no zonelist._zonerefs")?;
    let nodes = (refs - 1) / count;
    ensure!(
        nodes.is_power_of_two() && nodes * count + 1 == refs,
        "cannot tell MAX_NUMNODES: zonelist holds {refs} references for {count} zones"
    );
    // ZONES_SHIFT: the bits that number the zones.
    let bits = count.next_power_of_two().trailing_zeros();
    layout.zone_shift = u64::BITS - nodes.trailing_zeros() - bits;
    layout.zone_mask = (1 << bits) - 1;
    layout.zone_device = device;
    Ok(())
}

/// `MEMORY_DEVICE_FS_DAX` becomes `fs_dax`. The values changed in 6.0, so they are never assumed.
fn memory_types(btf: &Btf) -> Vec<(u32, String)> {
    btf.enumerators("memory_type")
        .into_iter()
        .map(|(name, value)| {
            let name = name.strip_prefix("MEMORY_DEVICE_").unwrap_or(&name);
            (value, name.to_ascii_lowercase())
        })
        .collect()
}
