//! Stacks as a flame graph: as wide as they have calls.

use anyhow::{Context as _, Result, bail};
use inferno::flamegraph::{
    self, Options,
    color::{BackgroundColor, Color, MultiPalette, Palette},
};

use super::{folded, words};
use crate::session::table::Table;

/// What inferno knows frames of the kernel by, and does not show.
const KERNEL: &str = "_[k]";

const WHITE: Color = Color {
    r: 255,
    g: 255,
    b: 255,
};

/// A picture in SVG, the same for the same calls.
///
/// # Errors
/// When groups have no stacks, or there are no calls.
pub fn svg(table: &Table) -> Result<String> {
    let lines = folded::lines(table, KERNEL)?;
    if lines.is_empty() {
        bail!("there are no calls to draw");
    }
    let mut options = Options::default();
    options.title = words::fitting(&format!("{}: calls", words::subject(table)), 100);
    options.subtitle = Some(words::fitting(
        &format!("orange: in the kernel; {}", words::place(table)),
        170,
    ));
    options.count_name = "calls".into();
    options.name_type = "Function:".into();
    options.font_type = "sans-serif".into();
    options.bgcolors = Some(BackgroundColor::Flat(WHITE));
    options.colors = Palette::Multi(MultiPalette::Java);
    options.deterministic = true;
    let mut svg = vec![];
    flamegraph::from_lines(
        &mut options,
        lines.iter().map(|line| line.trim_end()),
        &mut svg,
    )
    .context("cannot draw a flame graph")?;
    Ok(String::from_utf8(svg)?)
}
