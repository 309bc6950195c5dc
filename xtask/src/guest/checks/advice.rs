//! `daxscope advise`: each layout that it offers is made by the command that it gives, and measured.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::listed::json;
use crate::guest::region::{Device, GEOMETRIES, Map, Mode, Namespaces, Wanted};
use crate::guest::report::{Figures, Report};

pub fn all(report: &mut Report) {
    for (name, odd) in [("whole-gib", false), ("odd-size", true)] {
        report.check(&format!("advise/{name}"), |figures| {
            let namespaces = Namespaces::find()?;
            let of = if odd {
                &namespaces.odd
            } else {
                &namespaces.large
            };
            let namespace = of
                .first()
                .context("no namespace of that size: boot with another --nvdimm")?;
            followed(figures, namespace)
        });
    }
}

fn followed(figures: &mut Figures, namespace: &str) -> Result<()> {
    let fsdax = Wanted {
        mode: Mode::Fsdax,
        map: Map::Dev,
    };
    let device = Device::create(namespace, fsdax)?;
    let (_, told) = json(&["advise", &device.name(), "--json"])?;
    let advice = &told["devices"][0];
    let options = advice["options"]
        .as_array()
        .with_context(|| format!("no advice for {namespace}: {}", advice["no_advice"]))?;
    let before = ram(&advice["now"])?;
    let (mut made, mut refused) = (0, 0);
    for option in options {
        let layout = Layout::of(option)?;
        if option["formula"].is_null() {
            let reason = option["impossible"].as_str().unwrap_or_default();
            // What ndctl refuses may leave the namespace without a layout; the next command makes one.
            let result = Device::create(namespace, layout.wanted);
            figures.holds(
                &format!("{}: ndctl refuses it too ({reason})", layout.wanted),
                result.is_err() && !reason.is_empty(),
            );
            refused += 1;
            continue;
        }
        made_and_measured(figures, namespace, option, &layout, before)?;
        made += 1;
    }
    figures.holds(
        &format!("{made} layouts made, {refused} impossible"),
        made >= 6,
    );
    device.destroy()
}

struct Layout {
    wanted: Wanted,
}

impl Layout {
    fn of(option: &Value) -> Result<Layout> {
        let word = |key: &str| option[key].as_str().unwrap_or_default();
        let map = match word("map") {
            "mem" => Map::Mem,
            "dev" => Map::Dev,
            other => anyhow::bail!("an option with map {other:?}"),
        };
        let mode = if word("mode") == "fsdax" {
            Mode::Fsdax
        } else {
            let geometry = GEOMETRIES.iter().find(|of| of.name == word("align"));
            Mode::Devdax(*geometry.with_context(|| format!("an option with {option}"))?)
        };
        Ok(Layout {
            wanted: Wanted { mode, map },
        })
    }
}

fn made_and_measured(
    figures: &mut Figures,
    namespace: &str,
    option: &Value,
    layout: &Layout,
    before: i64,
) -> Result<()> {
    let command = option["command"].as_str().context("no command")?;
    let output = Command::new("sh").args(["-c", command]).output()?;
    ensure!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (_, told) = json(&["list", "--json"])?;
    let pagemaps = told["pagemaps"].as_array().into_iter().flatten();
    let found = pagemaps
        .into_iter()
        .find(|found| found["namespace"].as_str() == Some(namespace))
        .with_context(|| format!("list shows no {namespace} after {command}"))?;
    let wanted = layout.wanted;
    for key in ["ram_bytes", "device_bytes", "tables_bytes"] {
        figures.equal_quietly(
            &format!("{wanted}: {key}, advised and measured"),
            &option["formula"][key],
            &found["measured"][key],
        );
    }
    figures.equal_quietly(
        &format!("{wanted}: RAM saved, advised and measured"),
        &option["saves_ram_bytes"],
        &Value::from(before - ram(&found["measured"])?),
    );
    let name = found["device"].as_str().unwrap_or_default();
    figures.equal(
        &format!("{wanted}: usable bytes, advised and in sysfs"),
        &option["usable_bytes"],
        &Value::from(usable(name, wanted)?),
    );
    Ok(())
}

/// RAM that struct pages and their page tables take.
fn ram(cost: &Value) -> Result<i64> {
    let number = |key: &str| cost[key].as_i64();
    let sum = number("ram_bytes").zip(number("tables_bytes"));
    let (ram, tables) = sum.with_context(|| format!("no cost: {cost}"))?;
    Ok(ram + tables)
}

fn usable(name: &str, wanted: Wanted) -> Result<u64> {
    // A block device counts sectors of 512 bytes, whatever its own are (Documentation/ABI/stable/sysfs-block).
    let (path, unit) = match wanted.mode {
        Mode::Devdax(_) => (format!("/sys/bus/dax/devices/{name}/size"), 1),
        Mode::Fsdax => (format!("/sys/class/block/{name}/size"), 512),
    };
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(text.trim().parse::<u64>()? * unit)
}
