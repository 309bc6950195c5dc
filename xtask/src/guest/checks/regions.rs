//! Regions of each geometry: what the agent says of them while they exist, and after.

use anyhow::Result;

use super::Scope;
use super::stage::{Change, Moment, Stage};
use crate::guest::kmsg::Messages;
use crate::guest::oracle;
use crate::guest::region::{Device, GEOMETRIES, Geometry, Map, Namespaces, Wanted};
use crate::guest::report::{Figures, Report};

/// Where vmemmap population can be watched, best first (docs/kernels.md).
const POPULATE_POINTS: [&str; 3] = [
    "__populate_section_memmap",
    "vmemmap_populate",
    "__add_pages",
];

/// Struct pages on the device itself are never deduplicated, whatever the geometry.
pub fn on_device(report: &mut Report, stage: &Stage) {
    if stage.scope == Scope::Brief {
        return;
    }
    report.check(
        &format!("region/{}-2M-altmap", stage.mechanism),
        |figures| {
            let device = compared(
                figures,
                stage,
                &Namespaces::find()?.small[0],
                Wanted::devdax(GEOMETRIES[1], Map::Dev),
            )?;
            device.destroy()
        },
    );
}

/// Make the regions one by one and compare after each. What could be made is returned.
pub fn created(report: &mut Report, stage: &Stage) -> Vec<Device> {
    let mut devices = Vec::new();
    let namespaces = Namespaces::find();
    for (index, asked) in GEOMETRIES.into_iter().enumerate() {
        if stage.scope == Scope::Brief && asked.name != "2M" {
            continue;
        }
        report.check(
            &format!("region/{}-{}", stage.mechanism, asked.name),
            |figures| {
                let namespaces = namespaces
                    .as_ref()
                    .map_err(|error| anyhow::anyhow!("{error:#}"))?;
                devices.push(compared(
                    figures,
                    stage,
                    namespaces.by_geometry()[index],
                    Wanted::devdax(asked, Map::Mem),
                )?);
                Ok(())
            },
        );
    }
    devices
}

pub fn destroyed(report: &mut Report, stage: &Stage, devices: Vec<Device>) {
    for device in devices {
        report.check(
            &format!("region/{}-{}-gone", stage.mechanism, device.asked.name),
            |figures| {
                let geometry = device.geometry()?;
                let labels = [("geometry", geometry.name), ("type", "generic")];
                let before = stage.moment()?;
                device.destroy()?;
                let after = stage.moment()?;
                let fell = |name| {
                    before
                        .scrape
                        .total(name, &labels)
                        .wrapping_sub(after.scrape.total(name, &labels))
                };
                figures.equal(
                    "struct pages gone",
                    device.struct_pages(),
                    fell("daxscope_struct_pages"),
                );
                figures.equal("pagemaps gone", 1, fell("daxscope_pagemaps"));
                let kernel = Change::between(&before, &after).hits("memunmap_pages");
                figures.equal("memunmap_pages called", 1, kernel);
                Ok(())
            },
        );
    }
    report.check(
        &format!("region/{}-none-left", stage.mechanism),
        |figures| {
            let scrape = stage.agent.scrape()?;
            figures.equal(
                "struct pages",
                0,
                scrape.total("daxscope_struct_pages", &[("type", "generic")]),
            );
            figures.equal(
                "pagemaps",
                0,
                scrape.total("daxscope_pagemaps", &[("type", "generic")]),
            );
            Ok(())
        },
    );
}

/// Makes a region, and compares what the kernel and the agent say of it.
fn compared(
    figures: &mut Figures,
    stage: &Stage,
    namespace: &str,
    wanted: Wanted,
) -> Result<Device> {
    let messages = Messages::from_now()?;
    let before = stage.moment()?;
    let device = Device::create(namespace, wanted)?;
    let after = stage.moment()?;
    compare(figures, &device, messages.initialised()?, &before, &after)?;
    Ok(device)
}

fn compare(
    figures: &mut Figures,
    device: &Device,
    initialised: u64,
    before: &Moment,
    after: &Moment,
) -> Result<()> {
    let geometry = device.geometry()?;
    let change = Change::between(before, after);
    let of = [("geometry", geometry.name)];
    let typed = [("geometry", geometry.name), ("type", "generic")];
    figures.note(format!(
        "{} of {} bytes is {} to this kernel",
        device.namespace, device.bytes, geometry.name
    ));
    figures.equal(
        "struct pages",
        device.struct_pages(),
        change.agent.of("daxscope_struct_pages", &typed),
    );
    figures.equal(
        "struct pages of all geometries",
        device.struct_pages(),
        change.agent.of("daxscope_struct_pages", &[]),
    );
    figures.equal("pagemaps", 1, change.agent.of("daxscope_pagemaps", &typed));

    let calls = change.hits("memremap_pages");
    figures.equal("memremap_pages calls by the kernel", 1, calls);
    figures.equal(
        "memremap calls",
        calls,
        change.agent.of("daxscope_memremap_calls_total", &of),
    );
    figures.equal(
        "memremap durations",
        calls,
        change
            .agent
            .of("daxscope_memremap_duration_seconds_count", &of),
    );

    let calls = change.hits("memmap_init_zone_device");
    figures.equal(
        "memmap init durations",
        calls,
        change
            .agent
            .of("daxscope_memmap_init_duration_seconds_count", &of),
    );
    figures.equal(
        "struct pages initialised, by the kernel's own message",
        initialised,
        change
            .agent
            .of("daxscope_memmap_init_struct_pages_total", &of),
    );
    populated(figures, device, geometry, &change)?;
    kernel_account(figures, device, before, after)
}

/// The agent must watch the best point that can be probed, and `vmemmap_populate` beside it where it can be.
fn populated(
    figures: &mut Figures,
    device: &Device,
    geometry: Geometry,
    change: &Change,
) -> Result<()> {
    let traceable = oracle::traceable()?;
    let mut points = POPULATE_POINTS
        .into_iter()
        .filter(|point| traceable.contains(*point));
    let primary = points.next();
    figures.holds(
        &format!("a populate point can be probed: {primary:?}"),
        primary.is_some(),
    );
    // What is inside the primary one has no durations of its own.
    let timed = primary;
    for point in primary
        .into_iter()
        .chain(points.filter(|point| *point == "vmemmap_populate"))
    {
        if !change.watched(point, figures) {
            continue;
        }
        let labels = [("geometry", geometry.name), ("point", point)];
        let calls = change.hits(point);
        let pages = if calls == 0 { 0 } else { device.struct_pages() };
        let counted = change
            .agent
            .of("daxscope_vmemmap_populate_duration_seconds_count", &labels);
        let expected = if timed == Some(point) { calls } else { 0 };
        figures.equal(&format!("{point} durations"), expected, counted);
        let counted = change
            .agent
            .of("daxscope_vmemmap_populate_struct_pages_total", &labels);
        figures.equal(&format!("{point} struct pages"), pages, counted);
    }
    Ok(())
}

/// `nr_memmap_pages` counts the pages that hold struct pages, but over-counts deduplicated ones on some kernels
/// (15995a352474; 6.18 does). So it is compared with the arithmetic for the reader, and decides nothing.
fn kernel_account(
    figures: &mut Figures,
    device: &Device,
    before: &Moment,
    after: &Moment,
) -> Result<()> {
    let arithmetic = device.account()?.memmap_pages();
    let count = |moment: &Moment| moment.vmstat.get("nr_memmap_pages").copied();
    figures.note(match (count(before), count(after)) {
        (Some(before), Some(after)) if after - before == arithmetic => {
            format!("nr_memmap_pages rose by {arithmetic}, as the arithmetic has it")
        }
        (Some(before), Some(after)) => {
            format!(
                "nr_memmap_pages rose by {}, the arithmetic has {arithmetic}",
                after - before
            )
        }
        _ => format!("this kernel has no nr_memmap_pages, the arithmetic has {arithmetic}"),
    });
    Ok(())
}
