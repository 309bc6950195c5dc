//! The layouts that a device can have, what the kernel makes of each, and the command for it.

use crate::{
    inventory::{
        Range,
        cost::{Cost, Rules},
        names::{Device, Map},
    },
    probes::geometry,
    text,
};

const PAGE_SHIFT: u32 = 12;
/// Of x86-64: a page, and what one entry of the second and of the third level of page tables maps
/// (`dax_align_valid`, drivers/dax/dax-private.h).
const POWERS: [u32; 3] = [PAGE_SHIFT, 21, 30];
/// Where the info block of a namespace ends (`SZ_8K` in `nd_pfn_init`, `drivers/nvdimm/pfn_devs.c`).
const INFO_BLOCK: u64 = 8 << 10;
/// `memremap_compat_align()` on x86-64: the least alignment of a pagemap.
const SUBSECTION: u64 = 2 << 20;
/// The unit in which memory maps are populated.
const SECTION: u64 = 128 << 20;

/// What a device is made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Fsdax,
    Devdax,
}

/// A way to lay out a device and its struct pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub mode: Mode,
    /// The alignment, a power of two of bytes. Of devdax also the geometry, where pagemaps have one.
    pub power: u32,
    pub map: Map,
}

/// A layout on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    layout: Layout,
    /// Of the pagemap.
    pub ranges: Vec<Range>,
    /// Bytes that are left for data.
    pub usable: u64,
}

impl Layout {
    /// Those that make sense for a device, fsdax only where it is fsdax now.
    #[must_use]
    pub fn all(device: &Device) -> Vec<Self> {
        let maps = match device.namespace {
            Some(_) => &[Map::Mem, Map::Dev][..],
            None => &[Map::Mem],
        };
        let mut all = vec![];
        for map in maps.iter().copied() {
            if device.mode == "fsdax" {
                // Alignment changes nothing for fsdax: it has no geometry but 4K.
                let power = device.align.map_or(POWERS[1], u64::trailing_zeros);
                all.push(Self {
                    mode: Mode::Fsdax,
                    power,
                    map,
                });
            }
            all.extend(POWERS.map(|power| Self {
                mode: Mode::Devdax,
                power,
                map,
            }));
        }
        all
    }

    /// Whether a device has it.
    #[must_use]
    pub fn is_of(&self, device: &Device) -> bool {
        device.mode == self.mode.name()
            && device.map == Some(self.map)
            && device.align == Some(1 << self.power)
    }

    /// Whether struct pages are in RAM.
    #[must_use]
    pub fn in_ram(&self) -> bool {
        self.map == Map::Mem
    }

    /// `devdax 2M`, or `fsdax`, whose alignment changes no cost.
    #[must_use]
    pub fn name(self) -> String {
        match self.mode {
            Mode::Fsdax => self.mode.name().to_owned(),
            Mode::Devdax => format!("{} {}", self.mode.name(), geometry::label(self.power)),
        }
    }

    /// `vmemmap_shift` on a kernel that has geometries.
    const fn shift(self) -> u32 {
        match self.mode {
            Mode::Fsdax => 0,
            Mode::Devdax => self.power - PAGE_SHIFT,
        }
    }

    /// What to type to get it. Nothing is asked back: data on the device is gone.
    #[must_use]
    pub fn command(&self, device: &Device) -> String {
        let name = &device.device;
        let align = geometry::label(self.power);
        let Some(namespace) = &device.namespace else {
            let (region, id) = name
                .trim_start_matches("dax")
                .split_once('.')
                .unwrap_or_default();
            let ranges = device.ranges.as_deref().unwrap_or_default();
            let size: u64 = ranges.iter().map(Range::bytes).sum();
            // The first device of a region cannot be destroyed (`delete_store`, drivers/dax/bus.c), only emptied.
            let give_back = match id {
                "0" => format!("daxctl reconfigure-device -f -m devdax -s 0 {name}"),
                _ => format!("daxctl destroy-device {name}"),
            };
            return format!(
                "daxctl disable-device {name} && {give_back} && \
                 daxctl create-device -r {region} -s {size} -a {align}"
            );
        };
        let (mode, map) = (self.mode.name(), self.map.name());
        match self.mode {
            Mode::Fsdax => format!("ndctl create-namespace -f -e {namespace} -m {mode} -M {map}"),
            Mode::Devdax => {
                format!("ndctl create-namespace -f -e {namespace} -m {mode} -a {align} -M {map}")
            }
        }
    }
}

impl Mode {
    /// As ndctl spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fsdax => "fsdax",
            Self::Devdax => "devdax",
        }
    }
}

impl Plan {
    /// What comes of a layout on the ranges of a device.
    ///
    /// # Errors
    /// Why the device cannot have it.
    pub fn new(
        layout: Layout,
        device: &Device,
        ranges: &[Range],
        rules: &Rules,
    ) -> Result<Self, String> {
        let align = 1_u64 << layout.power;
        let plan = if device.namespace.is_some() {
            Self::on_namespace(layout, ranges, rules)?
        } else {
            Self::on_dax_region(layout, ranges)?
        };
        let amid = |range: &Range| !range.start.is_multiple_of(SECTION);
        // `reuse_compound_section` then takes every compound but the first for the rest of one: in a guest with 6.12
        // three pages of 1G had one and the same first struct page.
        if align > SECTION && layout.mode == Mode::Devdax && plan.ranges.iter().any(amid) {
            return Err(format!(
                "it starts amid a section of 128 MiB, where the kernel would mix up pages of {}",
                geometry::label(layout.power)
            ));
        }
        Ok(plan)
    }

    /// The pagemap spans the device, whose pieces must be aligned (`dev_dax_validate_align`, drivers/dax/bus.c).
    fn on_dax_region(layout: Layout, ranges: &[Range]) -> Result<Self, String> {
        let align = 1 << layout.power;
        let aligned = |range: &Range| {
            range.start.is_multiple_of(align) && range.bytes().is_multiple_of(align)
        };
        if !ranges.iter().all(aligned) {
            return Err(format!(
                "its address and size are no multiples of {}",
                geometry::label(layout.power)
            ));
        }
        Ok(Self {
            layout,
            ranges: ranges.to_vec(),
            usable: ranges.iter().map(Range::bytes).sum(),
        })
    }

    /// As `nd_pfn_init` (`drivers/nvdimm/pfn_devs.c`) does it: the pagemap spans the namespace up to the last multiple of
    /// the alignment, and data starts at the first one behind the info block and, with map=dev, the struct pages.
    fn on_namespace(layout: Layout, ranges: &[Range], rules: &Rules) -> Result<Self, String> {
        let [range] = ranges else {
            return Err("the namespace is not in one piece".into());
        };
        // ndctl, validate_namespace_options.
        if !range.bytes().is_multiple_of(1 << layout.power) {
            let power = geometry::label(layout.power);
            return Err(format!(
                "ndctl refuses a size that is no multiple of {power}"
            ));
        }
        let align = (1_u64 << layout.power).max(SUBSECTION);
        let struct_pages = match layout.map {
            Map::Mem => 0,
            Map::Dev => {
                (range.bytes().saturating_sub(INFO_BLOCK) >> PAGE_SHIFT) * rules.struct_page
            }
        };
        let data = (range.start + INFO_BLOCK + struct_pages).next_multiple_of(align);
        let end = (range.end + 1) & !(align - 1);
        if data >= end {
            return Err(format!(
                "too small: alignment to {} leaves nothing",
                text::bytes(align)
            ));
        }
        let ranges = vec![Range {
            start: range.start,
            end: end - 1,
        }];
        let usable = end - data;
        Ok(Self {
            layout,
            ranges,
            usable,
        })
    }

    /// What it costs, by formula.
    #[must_use]
    pub fn cost(&self, rules: &Rules) -> Cost {
        rules.cost(
            &self.ranges,
            self.layout.shift(),
            self.layout.map == Map::Dev,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;
    const RULES: Rules = Rules {
        struct_page: 64,
        geometries: true,
        deduplicates: true,
    };

    fn device(namespace: Option<&str>, start: u64, bytes: u64) -> Device {
        Device {
            device: "dax12.1".into(),
            namespace: namespace.map(str::to_owned),
            region: None,
            node: None,
            driver: None,
            mode: "devdax".into(),
            align: Some(2 * MIB),
            map: Some(Map::Mem),
            ranges: Ok(vec![Range {
                start,
                end: start + bytes - 1,
            }]),
        }
    }

    fn plan(device: &Device, power: u32, map: Map) -> Result<(u64, u64), String> {
        let mode = Mode::Devdax;
        let ranges = device.ranges.clone()?;
        let plan = Plan::new(Layout { mode, power, map }, device, &ranges, &RULES)?;
        Ok((plan.ranges.iter().map(Range::bytes).sum(), plan.usable))
    }

    #[test]
    fn a_namespace_loses_what_guests_lost() {
        // ndctl of a guest with 6.12 said these sizes.
        let pmem = device(Some("namespace0.0"), 5 * GIB, 2 * GIB);
        for (power, map, usable) in [
            (12, Map::Mem, 2 * GIB - 2 * MIB),
            (21, Map::Mem, 2 * GIB - 2 * MIB),
            (30, Map::Mem, GIB),
            (12, Map::Dev, 2 * GIB - 34 * MIB),
            (21, Map::Dev, 2 * GIB - 34 * MIB),
            (30, Map::Dev, GIB),
        ] {
            assert_eq!(
                plan(&pmem, power, map),
                Ok((2 * GIB, usable)),
                "{power} {map:?}"
            );
        }
        let small = device(Some("namespace0.0"), 5 * GIB, GIB);
        assert!(plan(&small, 30, Map::Mem).is_err_and(|why| why.contains("too small")));
    }

    #[test]
    fn the_end_of_an_odd_namespace_is_cut_off() {
        let odd = device(Some("namespace0.0"), 5 * GIB, 3 * GIB + 16 * MIB);
        assert!(plan(&odd, 30, Map::Mem).is_err_and(|why| why.contains("ndctl refuses")));
        let off = device(Some("namespace0.0"), 5 * GIB + GIB / 2, 3 * GIB);
        assert_eq!(plan(&off, 30, Map::Mem), Ok((2 * GIB + GIB / 2, 2 * GIB)));
        let all = 3 * GIB + 16 * MIB;
        assert_eq!(plan(&odd, 21, Map::Mem), Ok((all, all - 2 * MIB)));
        let amid = device(Some("namespace0.0"), 5 * GIB + 16 * MIB, 4 * GIB);
        assert!(plan(&amid, 21, Map::Mem).is_ok());
        assert!(plan(&amid, 30, Map::Mem).is_err_and(|why| why.contains("128 MiB")));
    }

    #[test]
    fn a_dax_region_gives_whole_multiples() {
        let cxl = device(None, 5 * GIB, 2 * GIB + 2 * MIB);
        let all = 2 * GIB + 2 * MIB;
        assert_eq!(plan(&cxl, 21, Map::Mem), Ok((all, all)));
        assert!(plan(&cxl, 30, Map::Mem).is_err_and(|why| why.contains("1G")));
        assert!(Layout::all(&cxl).iter().all(Layout::in_ram));
        let layout = Layout {
            mode: Mode::Devdax,
            power: 21,
            map: Map::Mem,
        };
        assert_eq!(
            layout.command(&cxl),
            "daxctl disable-device dax12.1 && daxctl destroy-device dax12.1 && \
             daxctl create-device -r 12 -s 2149580800 -a 2M"
        );
    }
}
