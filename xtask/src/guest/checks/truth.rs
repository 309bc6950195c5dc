//! What a scrape says of live pagemaps, against arithmetic of their sizes.

use crate::guest::region::{Account, Device, GEOMETRIES, PAGE};
use crate::guest::report::Figures;
use crate::guest::scrape::Scrape;

use anyhow::Result;

const VMEMMAP: &str = "daxscope_pagemap_vmemmap_bytes";

/// How a pagemap came to the agent's knowledge.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It was there when the agent started.
    Before,
    /// It came up under the running agent.
    Watched,
}

/// These devices and no other: each alone, and all together.
pub fn compare(figures: &mut Figures, scrape: &Scrape, devices: &[(&Device, Known)]) -> Result<()> {
    for (device, known) in devices {
        one(figures, scrape, device, *known)?;
    }
    for geometry in GEOMETRIES {
        for kind in ["generic", "fs_dax"] {
            let mut of = Vec::new();
            for (device, _) in devices {
                if device.geometry()? == geometry && device.wanted.kind() == kind {
                    of.push(device.struct_pages());
                }
            }
            let labels = [("geometry", geometry.name), ("type", kind)];
            let what = format!("of {} {kind}", geometry.name);
            figures.equal_quietly(
                &format!("pagemaps {what}"),
                of.len() as u64,
                scrape.total("daxscope_pagemaps", &labels),
            );
            figures.equal_quietly(
                &format!("struct pages {what}"),
                of.iter().sum(),
                scrape.total("daxscope_struct_pages", &labels),
            );
        }
    }
    figures.equal(
        "pagemaps",
        devices.len() as u64,
        scrape.total("daxscope_pagemaps", &[]),
    );
    figures.equal(
        "pagemaps by name",
        devices.len(),
        scrape.series("daxscope_pagemap_info", &[]).count(),
    );
    kernel_count(figures, scrape);
    Ok(())
}

fn one(figures: &mut Figures, scrape: &Scrape, device: &Device, known: Known) -> Result<()> {
    let name = device.name();
    let of = [("device", name.as_str())];
    figures.note(format!(
        "{name}: {} of {} MiB",
        device.wanted,
        device.bytes >> 20
    ));
    info(figures, scrape, device, known)?;
    figures.equal_quietly(
        &format!("{name} struct pages"),
        device.struct_pages(),
        scrape.total("daxscope_pagemap_struct_pages", &of),
    );
    let account = device.account()?;
    for method in ["measured", "formula"] {
        bytes(figures, scrape, &name, method, account);
    }
    // The agent's two figures are one, so its own comparison must say so.
    let differ = scrape.value("daxscope_pagemap_vmemmap_disagreement_bytes", &of);
    figures.equal_quietly(
        &format!("{name} disagreement"),
        "Some(0.0)".to_owned(),
        format!("{differ:?}"),
    );
    figures.equal_quietly(
        &format!("{name} RAM by node"),
        account.ram * PAGE,
        scrape.total("daxscope_pagemap_vmemmap_node_bytes", &of),
    );
    let unmeasured = scrape.series("daxscope_pagemap_unmeasured", &of).count();
    figures.equal_quietly(&format!("{name} unmeasured"), 0, unmeasured);
    if account.device > 0 {
        let blocks = [of[0], ("backing", "device"), ("method", "blocks")];
        figures.equal_quietly(
            &format!("{name} blocks that the device handed out"),
            account.device * PAGE,
            scrape.total(VMEMMAP, &blocks),
        );
    }
    let base = Account::of(device.start, device.bytes, GEOMETRIES[0], device.wanted.map);
    let all = |account: Account| account.ram + account.device + account.tables;
    let saved = scrape.value("daxscope_pagemap_vmemmap_saved_bytes", &of);
    #[expect(clippy::cast_precision_loss, reason = "pages of a few GiB")]
    let expected = (all(base) as f64 - all(account) as f64) * PAGE as f64;
    figures.equal_quietly(
        &format!("{name} saved"),
        format!("{:?}", Some(expected)),
        format!("{saved:?}"),
    );
    deduplicated(figures, scrape, &name, account);
    Ok(())
}

fn info(figures: &mut Figures, scrape: &Scrape, device: &Device, known: Known) -> Result<()> {
    let name = device.name();
    let found: Vec<_> = scrape
        .series("daxscope_pagemap_info", &[("device", &name)])
        .collect();
    figures.equal_quietly(&format!("{name} infos"), 1, found.len());
    let Some((labels, _)) = found.first() else {
        return Ok(());
    };
    let mode = match device.wanted.kind() {
        "generic" => "devdax",
        _ => "fsdax",
    };
    let source = match known {
        Known::Before => "pgmap_array",
        Known::Watched => "watched",
    };
    for (label, expected) in [
        ("namespace", device.namespace.as_str()),
        ("type", device.wanted.kind()),
        ("geometry", device.geometry()?.name),
        ("mode", mode),
        ("source", source),
    ] {
        figures.equal_quietly(
            &format!("{name} {label}"),
            expected,
            labels.get(label).map_or("", String::as_str),
        );
    }
    Ok(())
}

fn bytes(figures: &mut Figures, scrape: &Scrape, name: &str, method: &str, account: Account) {
    for (backing, pages) in [
        ("ram", account.ram),
        ("device", account.device),
        ("page_tables", account.tables),
    ] {
        let of = [("device", name), ("backing", backing), ("method", method)];
        let observed = scrape.value(VMEMMAP, &of);
        #[expect(clippy::cast_precision_loss, reason = "pages of a few GiB")]
        let expected = Some((pages * PAGE) as f64);
        figures.equal_quietly(
            &format!("{name} {backing} {method}"),
            format!("{expected:?}"),
            format!("{observed:?}"),
        );
    }
}

fn deduplicated(figures: &mut Figures, scrape: &Scrape, name: &str, account: Account) {
    let found: Vec<_> = scrape
        .series("daxscope_pagemap_deduplicated", &[("device", name)])
        .collect();
    let [(labels, value)] = found[..] else {
        figures.equal_quietly(&format!("{name} deduplicated series"), 1, found.len());
        return;
    };
    let reason = labels.get("reason").map_or("", String::as_str);
    figures.equal_quietly(
        &format!("{name} deduplicated, reason {reason:?}"),
        account.deduplicated,
        value > 0.0,
    );
    figures.equal_quietly(
        &format!("{name} gives a reason, {reason:?}"),
        !account.deduplicated,
        !reason.is_empty(),
    );
}

/// Where the kernel counts pages that hold struct pages (6.11), and counts them right, the agent must not differ.
fn kernel_count(figures: &mut Figures, scrape: &Scrape) {
    let of = [("counter", "nr_memmap_pages")];
    let Some(differ) = scrape.value("daxscope_kernel_pages_difference", &of) else {
        figures.note("this kernel has no nr_memmap_pages");
        return;
    };
    figures.equal(
        "nr_memmap_pages less ours",
        "0".to_owned(),
        format!("{differ}"),
    );
}
