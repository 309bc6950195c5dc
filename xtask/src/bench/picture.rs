//! docs/cost.svg: what is added to a one-page call, by kernel and by who watches.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::record::{Figures, Record};
use super::rows::number;
use crate::command::workspace;

const FILE: &str = "docs/cost.svg";
const SIZE: (u32, u32) = (1200, 420);
/// Of the width that bars take: room beside them for what they are.
const ROOM: f64 = 0.27;

/// Bars of a kernel: who, its words, its colour.
const BARS: [(&str, &str, RGBColor); 8] = [
    (
        "floor/fentry",
        "empty fentry + fexit (floor)",
        RGBColor(190, 190, 190),
    ),
    (
        "daxscope/no-latency",
        "daxscope --no-latency",
        RGBColor(140, 200, 150),
    ),
    ("daxscope/fentry", "daxscope, fentry", RGBColor(40, 140, 70)),
    (
        "bpftrace/fentry",
        "bpftrace with histogram, fentry",
        RGBColor(215, 130, 60),
    ),
    (
        "floor/kprobe",
        "empty kprobe + kretprobe (floor)",
        RGBColor(150, 150, 150),
    ),
    (
        "daxscope/kprobe",
        "daxscope, kprobe",
        RGBColor(30, 100, 170),
    ),
    (
        "perf/kprobe",
        "perf stat, kprobe events",
        RGBColor(170, 140, 200),
    ),
    (
        "bpftrace/kprobe",
        "bpftrace with histogram, kprobe",
        RGBColor(180, 80, 40),
    ),
];

pub fn write(record: &Record) -> Result<()> {
    let text = draw(record).map_err(|error| anyhow!("cannot draw {FILE}: {error}"))?;
    std::fs::write(workspace().join(FILE), text)?;
    Ok(())
}

fn draw(record: &Record) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let count = u32::try_from(record.kernels.len())?;
        // A place for each bar, and one between kernels.
        let step = u32::try_from(BARS.len())? + 1;
        let highest = highest(record);
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .caption(
                "Instructions added to a one-page get_user_pages_fast",
                ("sans-serif", 18),
            )
            .x_label_area_size(30)
            .y_label_area_size(55)
            .build_cartesian_2d(
                0.0..f64::from(count * step) * (1.0 + ROOM),
                0.0..highest * 1.1,
            )?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .disable_x_axis()
            .y_label_formatter(&|value| number(*value))
            .light_line_style(WHITE)
            .draw()?;
        for (at, (who, words, colour)) in BARS.iter().enumerate() {
            let colour = *colour;
            let bars = record
                .kernels
                .iter()
                .enumerate()
                .filter_map(|(kernel, figures)| {
                    let place =
                        f64::from(u32::try_from(kernel).ok()? * step + u32::try_from(at).ok()?)
                            + 0.5;
                    Some((place, figures.value("get", who)?))
                });
            let bars: Vec<(f64, f64)> = bars.collect();
            let boxes = bars.iter().map(|(place, value)| {
                Rectangle::new([(*place, 0.0), (place + 0.9, *value)], colour.filled())
            });
            chart
                .draw_series(boxes)?
                .label(*words)
                .legend(move |(x, y)| {
                    Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled())
                });
            let figures = bars.iter().map(|(place, value)| {
                Text::new(
                    number(*value),
                    (place + 0.05, value + highest * 0.03),
                    ("sans-serif", 10),
                )
            });
            chart.draw_series(figures)?;
        }
        for (kernel, figures) in record.kernels.iter().enumerate() {
            let place = f64::from(u32::try_from(kernel)? * step) + 0.5;
            let name = short(figures);
            chart.plotting_area().draw(&Text::new(
                name,
                (place, -highest * 0.03),
                ("sans-serif", 13),
            ))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(200, 200, 200))
            .label_font(("sans-serif", 11))
            .draw()?;
        area.present()?;
    }
    Ok(text)
}

fn highest(record: &Record) -> f64 {
    let values = record.kernels.iter().flat_map(|figures| {
        BARS.iter()
            .filter_map(|(who, ..)| figures.value("get", who))
    });
    values.fold(1.0, f64::max)
}

/// `6.12 (trixie)`
fn short(figures: &Figures) -> String {
    let version: Vec<&str> = figures.release.splitn(3, '.').take(2).collect();
    format!("{} ({})", version.join("."), figures.suite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::reading::{Amount, Reading};

    #[test]
    fn bars_are_of_those_that_have_a_figure() {
        let readings = vec![
            Reading::new("get", "daxscope/fentry", Ok(Amount::once(612.0))),
            Reading::new("get", "bpftrace/fentry", Err(anyhow!("refused"))),
        ];
        let figures = Figures {
            suite: "trixie".into(),
            release: "6.12.107+deb13-amd64".into(),
            readings,
        };
        let record = Record {
            made: vec![],
            kernels: vec![figures],
        };
        let text = draw(&record).expect("a picture");
        assert!(
            text.contains("612") && text.contains("6.12 (trixie)"),
            "{text}"
        );
    }
}
