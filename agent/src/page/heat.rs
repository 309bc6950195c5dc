//! Durations over time: a cell for each column of history and each power of two, the darker the more calls in a second.
//! SVG, made here: it shows without JavaScript.

use std::time::{Duration, Instant};

use daxscope_common::hist::{MIN_POWER, SUB};

use super::{
    history::{Column, WINDOW},
    html::Html,
};
use crate::text;

/// From how many calls in a second on a cell has a shade; below the second it is the first.
pub const SHADES: [(u32, &str); 6] = [
    (0, "h0"),
    (1, "h1"),
    (10, "h2"),
    (100, "h3"),
    (1000, "h4"),
    (10_000, "h5"),
];
/// Units of the picture from its left to its right.
const WIDTH: i64 = 1200;
/// Fewer powers of two look like a bar code.
const ROWS: u32 = 8;
/// What there is of time to be seen, in seconds: the least that holds it all.
const SPANS: [u64; 5] = [60, 120, 300, 600, WINDOW.as_secs()];

/// What all pictures of a page have in common, so that they can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axes {
    pub now: Instant,
    /// How much of time is seen.
    pub span: Duration,
    /// Powers of two of nanoseconds: the lowest and one more than the highest.
    pub low: u32,
    pub high: u32,
}

impl Axes {
    /// Axes that hold all columns.
    #[must_use]
    pub fn of<'a>(
        now: Instant,
        begins: Option<Instant>,
        all: impl Iterator<Item = &'a Column>,
    ) -> Self {
        let age = begins.map_or(Duration::ZERO, |begins| {
            now.saturating_duration_since(begins)
        });
        let longest = SPANS[SPANS.len() - 1];
        let span = SPANS
            .into_iter()
            .find(|span| age <= Duration::from_secs(*span))
            .unwrap_or(longest);
        let powers = all
            .flat_map(|column| &column.slots)
            .map(|(slot, _)| power(*slot));
        let (low, high) = powers.fold((u32::MAX, 0), |(low, high), power| {
            (low.min(power), high.max(power + 1))
        });
        let low = low.min(MIN_POWER + 3);
        Self {
            now,
            span: Duration::from_secs(span),
            low,
            high: high.max(low + ROWS),
        }
    }

    /// Where a moment is in the picture.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "between 0 and 1200"
    )]
    fn x(self, at: Instant) -> i64 {
        let age = self.now.saturating_duration_since(at).as_secs_f64() / self.span.as_secs_f64();
        ((1.0 - age.min(1.0)) * WIDTH as f64).round() as i64
    }
}

/// The power of two of nanoseconds above which a slot is, and below whose double.
fn power(slot: u8) -> u32 {
    match u32::from(slot) {
        0 => MIN_POWER - 1,
        slot => MIN_POWER + (slot - 1) / SUB,
    }
}

/// The cells of one group.
#[must_use]
pub fn cells(columns: &[Column], axes: Axes) -> Html {
    let mut shades = SHADES.map(|_| Vec::new());
    for power in axes.low..axes.high {
        // Neighbours of one shade are one cell: from, to, shade.
        let mut open: Option<(i64, i64, usize)> = None;
        let mut close = |cell: Option<(i64, i64, usize)>| {
            if let Some((from, to, shade)) = cell {
                shades[shade].push((from, to, axes.high - 1 - power));
            }
        };
        for column in columns {
            let (from, to) = (axes.x(column.from), axes.x(column.to));
            let Some(shade) = shade(column, power).filter(|_| from < to) else {
                continue;
            };
            open = match open {
                Some((start, end, same)) if end == from && same == shade => {
                    Some((start, to, shade))
                }
                before => {
                    close(before);
                    Some((from, to, shade))
                }
            };
        }
        close(open);
    }
    let paths = shades
        .iter()
        .zip(SHADES)
        .filter(|(cells, _)| !cells.is_empty());
    paths
        .map(|(cells, (_, class))| path(class, cells))
        .collect()
}

/// `None` for no calls.
fn shade(column: &Column, of: u32) -> Option<usize> {
    let within = column.slots.iter().filter(|(slot, _)| power(*slot) == of);
    let calls: u64 = within.map(|(_, calls)| u64::from(*calls)).sum();
    let seconds = column
        .to
        .saturating_duration_since(column.from)
        .as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a shade of a count")]
    let reached = |least: u32| calls as f64 >= f64::from(least) * seconds;
    (calls > 0).then(|| {
        SHADES
            .iter()
            .rposition(|(least, _)| reached(*least))
            .unwrap_or(0)
    })
}

fn path(class: &'static str, cells: &[(i64, i64, u32)]) -> Html {
    let mut html = Html::new().raw("<path class=").raw(class).raw(" d=\"");
    for (from, to, row) in cells {
        html = html
            .raw("M")
            .number(*from)
            .raw(" ")
            .number((*row).into())
            .raw("h")
            .number(to - from)
            .raw("v1h")
            .number(from - to)
            .raw("z");
    }
    html.raw("\"/>")
}

/// The whole picture of one group: durations at the left, cells, time below.
#[must_use]
pub fn figure(title: &Html, words: &str, columns: &[Column], axes: Axes) -> Html {
    let rows = axes.high - axes.low;
    Html::new()
        .raw("<figure class=heat><figcaption>")
        .then(title)
        .raw("</figcaption>\n<svg class=y aria-hidden=true>")
        .then(&ticks(axes))
        .raw("</svg><svg class=plot role=img preserveAspectRatio=none viewBox=\"0 0 ")
        .number(WIDTH)
        .raw(" ")
        .number(rows.into())
        .raw("\" aria-label=\"")
        .text(words)
        .raw("\">")
        .then(&lines(axes))
        .then(&cells(columns, axes))
        .raw("</svg><p class=x aria-hidden=true><span>")
        .text(ago(axes.span))
        .raw(" ago</span><span>")
        .text(ago(axes.span / 2))
        .raw("</span><span>now</span></p></figure>\n")
}

/// Powers of ten of nanoseconds that are on the axis, as percents from the top in thousandths.
fn decades(axes: Axes) -> impl Iterator<Item = (u64, i64)> {
    let at = move |power: u32| {
        let ns = 10_u64.pow(power);
        #[expect(clippy::cast_precision_loss, reason = "a place in a picture")]
        let up = (ns as f64).log2() - f64::from(axes.low);
        let share = 1.0 - up / f64::from(axes.high - axes.low);
        #[expect(clippy::cast_possible_truncation, reason = "some thousand at most")]
        let share = (share * 100_000.0).round() as i64;
        (ns, share)
    };
    (2..=11)
        .map(at)
        .filter(|(_, share)| (0..=100_000).contains(share))
}

fn ticks(axes: Axes) -> Html {
    let tick = |(ns, share): (u64, i64)| {
        percent(Html::new().raw("<text x=\"100%\" y=\""), share)
            .raw("\">")
            .text(short(ns))
            .raw("</text>")
    };
    decades(axes).map(tick).collect()
}

fn lines(axes: Axes) -> Html {
    let line = |(_, share): (u64, i64)| {
        let html = percent(Html::new().raw("<line x1=0 x2=\"100%\" y1=\""), share).raw("\" y2=\"");
        percent(html, share).raw("\"/>")
    };
    decades(axes).map(line).collect()
}

fn percent(html: Html, thousandths: i64) -> Html {
    html.text(format_args!(
        "{}.{:03}%",
        thousandths / 1000,
        thousandths % 1000
    ))
}

/// `10 µs`: a power of ten.
fn short(ns: u64) -> String {
    text::duration(ns).replace(".0 ", " ")
}

/// `30 s`, `5 min`
fn ago(span: Duration) -> String {
    match span.as_secs() {
        150 => "2½ min".into(),
        seconds => text::age(seconds),
    }
}

/// What the shades mean.
#[must_use]
pub fn legend() -> Html {
    let shade = |(least, class): (u32, &'static str)| {
        let html = Html::new()
            .raw("<span><svg aria-hidden=true><rect class=")
            .raw(class);
        let html = html.raw(" width=\"100%\" height=\"100%\"/></svg>");
        match least {
            0 => html.text("less"),
            1..1000 => html.text(least),
            _ => html.text(format_args!("{}k", least / 1000)),
        }
        .raw("</span>")
    };
    let shades: Html = SHADES.into_iter().map(shade).collect();
    Html::new()
        .raw("<p class=legend>calls/s from ")
        .then(&shades)
        .raw("</p>\n")
}
