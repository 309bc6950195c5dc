//! Durations over time: for each group, when how many calls took how long.

mod axis;
mod grid;

use anyhow::{Result, anyhow, bail};
use plotters::{coord::Shift, prelude::*};

use self::{axis::Axis, grid::Grid};
use super::{hist, ranges::Ranges, words};
use crate::{
    session::{
        recording::Recording,
        table::{Row, Table},
    },
    text,
};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Groups that are drawn, those with the most time inside.
const GROUPS: usize = 6;
const WIDTH: u32 = 1000;
/// Of the title, and of each group; pixels.
const HEAD: u32 = 64;
const GROUP: u32 = 230;
/// Of the scale of colours, at the right.
const SCALE: u32 = 90;
const FONT: &str = "sans-serif";
/// From few calls to many.
const COLOURS: [RGBColor; 5] = [
    RGBColor(254, 217, 118),
    RGBColor(253, 165, 60),
    RGBColor(236, 112, 20),
    RGBColor(153, 52, 4),
    RGBColor(60, 10, 8),
];
const GREY: RGBColor = RGBColor(110, 110, 110);

/// A picture in SVG.
///
/// # Errors
/// When no call was timed.
pub fn svg(recording: &Recording, table: &Table) -> Result<String> {
    let shown = &table.rows[..table.rows.len().min(GROUPS)];
    let Some(grid) = Grid::new(recording, shown) else {
        bail!("there are no timed calls to draw");
    };
    draw(table, shown, &grid).map_err(|error| anyhow!("cannot draw a heat map: {error}"))
}

fn draw(table: &Table, shown: &[Row], grid: &Grid) -> Drawn<String> {
    let mut text = String::new();
    {
        let height = HEAD + GROUP * u32::try_from(shown.len())?;
        let all = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        all.fill(&WHITE)?;
        let (head, body) = all.split_vertically(HEAD);
        title(&head, table, shown.len())?;
        let (body, scale) = body.split_horizontally(WIDTH - SCALE);
        let areas = body.split_evenly((shown.len(), 1));
        for (n, (area, row)) in areas.iter().zip(shown).enumerate() {
            group(area, grid, n, &heading(table, row, n + 1))?;
        }
        let most = grid.most();
        colours(&scale, most)?;
        all.present()?;
    }
    Ok(text)
}

fn title(area: &Area, table: &Table, shown: usize) -> Drawn {
    let further = match table.rows.len() - shown {
        0 => String::new(),
        n => format!("{n} groups with less time inside are not shown; "),
    };
    let under = words::fitting(&(further + &words::place(table)), 160);
    let title = words::fitting(
        &format!("{}: how long calls took, over time", words::subject(table)),
        90,
    );
    area.draw(&Text::new(title, (14, 14), (FONT, 20)))?;
    area.draw(&Text::new(
        under,
        (14, 42),
        (FONT, 13).into_font().color(&GREY),
    ))?;
    Ok(())
}

/// `2M, pin_user_pages_fast: 400 calls, p50 29.7 µs, p99 42.9 µs`
fn heading(table: &Table, row: &Row, number: usize) -> String {
    let title = match hist::title(&table.by, &row.key, number) {
        title if title.is_empty() => "all".into(),
        title => words::fitting(&title, 80),
    };
    let time = |share| {
        row.tally
            .percentile(share)
            .map_or("-".into(), text::duration)
    };
    format!(
        "{title}: {} calls, p50 {}, p99 {}",
        row.tally.calls,
        time(super::P50),
        time(super::P99)
    )
}

/// Calls of one of the groups; all have the same scale.
fn group(area: &Area, grid: &Grid, n: usize, title: &str) -> Drawn {
    let [first, last] = grid.ends();
    let [low, high] = [edges(grid.ranges, first)[0], edges(grid.ranges, last)[1]];
    let end = seconds(grid.until.last().copied().unwrap_or(0)).max(0.001);
    let mut chart = ChartBuilder::on(area)
        .margin_left(12)
        .margin_right(12)
        .margin_bottom(6)
        .caption(title, (FONT, 14))
        .x_label_area_size(26)
        .y_label_area_size(70)
        .build_cartesian_2d(Axis::of_seconds(end), Axis::of_powers(low, high))?;
    chart
        .configure_mesh()
        .x_label_formatter(&|at| format!("{at} s"))
        .y_label_formatter(&|power| text::duration(rounded(10_f64.powf(*power))))
        .label_style((FONT, 12))
        .axis_style(GREY)
        .bold_line_style(RGBColor(235, 235, 235))
        .light_line_style(WHITE)
        .draw()?;
    let most = grid.most();
    let mut from = 0.0;
    for (column, until) in grid.groups[n].iter().zip(&grid.until) {
        let to = seconds(*until);
        chart.draw_series(column.iter().map(|(range, n)| {
            let [bottom, top] = edges(grid.ranges, *range);
            Rectangle::new([(from, bottom), (to, top)], colour(*n, most).filled())
        }))?;
        from = to;
    }
    Ok(())
}

/// The scale of colours.
fn colours(area: &Area, most: u64) -> Drawn {
    const STEPS: i32 = 40;
    const STEP: i32 = 3;
    let (left, top) = (10, 34);
    area.draw(&Text::new("calls", (left, top - 22), (FONT, 12)))?;
    for step in 0..STEPS {
        let share = f64::from(STEPS - 1 - step) / f64::from(STEPS - 1);
        let y = top + step * STEP;
        let place = [(left, y), (left + 14, y + STEP)];
        area.draw(&Rectangle::new(place, mixed(share).filled()))?;
    }
    let mut ends = vec![(most, 0)];
    if most > 1 {
        ends.push((1, (STEPS - 1) * STEP));
    }
    for (n, y) in ends {
        let place = (left + 20, top + y - 5);
        area.draw(&Text::new(text::count(n), place, (FONT, 12)))?;
    }
    Ok(())
}

/// The more calls, the darker: by their logarithm.
#[expect(clippy::cast_precision_loss, reason = "a shade")]
fn colour(n: u64, most: u64) -> RGBColor {
    match most {
        0 | 1 => mixed(1.0),
        _ => mixed((n as f64).ln() / (most as f64).ln()),
    }
}

/// Between the colours; `share` is from 0 to 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between the first and the last colour"
)]
fn mixed(share: f64) -> RGBColor {
    let place = share.clamp(0.0, 1.0) * 4.0;
    let below = (place as usize).min(COLOURS.len() - 2);
    let part = place.fract() + f64::from(u8::from(place >= 4.0));
    let (from, to) = (COLOURS[below], COLOURS[below + 1]);
    let mix = |from: u8, to: u8| {
        (f64::from(from) + (f64::from(to) - f64::from(from)) * part).round() as u8
    };
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

/// Decimal logarithms of the bounds of a range; one that has no limit is drawn as wide as a doubling.
#[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
fn edges(ranges: Ranges, range: usize) -> [f64; 2] {
    match ranges
        .bounds(range)
        .map(|ns| ns.map(|ns| (ns as f64).log10()))
    {
        [Some(low), Some(high)] => [low, high],
        [Some(low), None] => [low, low + 2_f64.log10()],
        [None, high] => {
            let high = high.unwrap_or(0.0);
            [high - 2_f64.log10(), high]
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "nanoseconds of a label"
)]
fn rounded(ns: f64) -> u64 {
    ns.round() as u64
}
