//! Latencies over time: a column for each reading, the newest at the right, a line for each power of ten.

use std::collections::{BTreeSet, VecDeque};

use daxscope_common::hist::MAX;
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};

use super::{
    model::Beat,
    paint::{Lines, put, put_right},
};
use crate::session::tally::middle;

/// What a cell says: at least so many calls in a second.
const SHADES: [(u64, &str, Color); 5] = [
    (1, "·", Color::Blue),
    (10, "░", Color::Cyan),
    (100, "▒", Color::Green),
    (1000, "▓", Color::Yellow),
    (10_000, "█", Color::Red),
];
/// The highest line as long as nothing takes longer: 1 ms.
const USUAL: u32 = 6;
/// Columns of what stands before the lines, a blank included.
const LABEL: u16 = 10;

/// How many lines of so many this is worth, its title included.
#[must_use]
pub const fn height(room: u16) -> u16 {
    match room {
        ..15 => 0,
        15..28 => 6,
        28.. => 8,
    }
}

/// Writes the title, and below it a line for each power of ten.
pub fn draw(beats: &VecDeque<Beat>, colours: bool, area: Rect, buffer: &mut Buffer) {
    let mut lines = Lines(area);
    if lines.left() == 0 {
        return;
    }
    title(lines.take(1), colours, buffer);
    let columns = area.width.saturating_sub(LABEL + 1);
    let shown: Vec<&Beat> = beats.iter().rev().take(usize::from(columns)).collect();
    let slots = shown.iter().flat_map(|beat| beat.slots.keys());
    let there: BTreeSet<u32> = slots.map(|slot| power(*slot)).collect();
    let powers = scale(&there, lines.left());
    for of in &powers {
        let line = lines.take(1);
        let less = Some(of) == powers.last() && there.range(..of).next().is_some();
        let label = if less { "less".into() } else { label(*of) };
        put_right(buffer, line, LABEL - 1, &label, Style::new());
        for (beat, x) in shown.iter().zip((LABEL..LABEL + columns).rev()) {
            let within = |slot: usize| power(slot) == *of || less && power(slot) < *of;
            let calls = beat.slots.iter().filter(|(slot, _)| within(**slot));
            let calls: u64 = calls.map(|(_, n)| n).sum();
            if let Some((glyph, colour)) = shade(calls, beat.interval) {
                put(buffer, line, x, glyph, style(colour, colours));
            }
        }
    }
}

/// Which powers of ten there are lines for, the highest first: all from the highest that is there, so that lines seldom move;
/// only those that are there, if they are too far apart. The last may stand for all that is less, too.
fn scale(there: &BTreeSet<u32>, lines: u16) -> Vec<u32> {
    let (Some(lowest), Some(highest), 1..) = (there.first(), there.last(), lines) else {
        return vec![];
    };
    let lines = u32::from(lines);
    let top = USUAL.min(lowest + lines - 1).max(*highest);
    if top - lowest < lines {
        return (0..=top).rev().take(lines as usize).collect();
    }
    there.iter().rev().copied().take(lines as usize).collect()
}

/// What the shades mean.
fn title(line: Rect, colours: bool, buffer: &mut Buffer) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut at = put(buffer, line, 1, "LATENCY", bold);
    at = put(
        buffer,
        line,
        at,
        " of all calls, newest at the right; calls/s:",
        Style::new(),
    );
    for (least, glyph, colour) in SHADES {
        at = put(buffer, line, at + 1, glyph, style(colour, colours));
        at = put(buffer, line, at + 1, &short(least), Style::new());
    }
}

/// `1`, `10k`: a power of ten.
fn short(n: u64) -> String {
    if n < 1000 {
        n.to_string()
    } else {
        format!("{}k", n / 1000)
    }
}

/// The power of ten of nanoseconds that a slot stands for; what overflowed is with the highest that does not.
fn power(slot: usize) -> u32 {
    middle(slot).clamp(1, MAX).ilog10()
}

/// `100 ns`, `1 µs`: a power of ten of nanoseconds.
fn label(power: u32) -> String {
    const UNITS: [&str; 4] = ["ns", "µs", "ms", "s"];
    let unit = (power / 3).min(3);
    format!("{} {}", 10_u64.pow(power - 3 * unit), UNITS[unit as usize])
}

/// `None` for no calls; less than one in a second is as one.
fn shade(calls: u64, ms: u64) -> Option<(&'static str, Color)> {
    let rate = u128::from(calls) * 1000 / u128::from(ms.max(1));
    let (_, glyph, colour) = SHADES
        .iter()
        .rev()
        .find(|(least, ..)| rate >= u128::from(*least))
        .unwrap_or(&SHADES[0]);
    (calls > 0).then_some((glyph, *colour))
}

fn style(colour: Color, colours: bool) -> Style {
    if colours {
        Style::new().fg(colour)
    } else {
        Style::new()
    }
}

#[cfg(test)]
mod tests {
    use daxscope_common::hist::fine;

    use super::*;

    fn lines(beats: &VecDeque<Beat>, height: u16) -> Vec<String> {
        let area = Rect::new(0, 0, 14, height);
        let mut buffer = Buffer::empty(area);
        draw(beats, false, area, &mut buffer);
        let row = |y| (0..14).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (1..height).map(|y| row(y).trim_end().to_owned()).collect()
    }

    #[test]
    fn calls_are_on_the_line_of_their_power_of_ten() {
        let beat = |calls: &[(u64, u64)]| Beat {
            interval: 1000,
            slots: calls.iter().map(|(ns, n)| (fine::slot(*ns), *n)).collect(),
        };
        let mut beats = VecDeque::from([
            beat(&[(5_000_000, 1)]),
            beat(&[]),
            beat(&[(50, 7), (500_000, 100), (500, 9000)]),
        ]);
        let all = [
            "     1 ms ·",
            "   100 µs   ▒",
            "   100 ns   ▓",
            "    10 ns   ·",
        ];
        assert_eq!(lines(&beats, 5), all, "those that are there");
        let some = ["     1 ms ·", "   100 µs   ▒", "     less   ▓"];
        assert_eq!(lines(&beats, 4), some, "and what is less");
        let between = ["    10 µs", "     1 µs", "   100 ns   ▓", "    10 ns   ·"];
        beats[0].slots.clear();
        beats[2].slots.remove(&fine::slot(500_000));
        assert_eq!(lines(&beats, 5), between, "all, where they fit");
        // The highest decides, though it overflowed.
        beats.push_back(beat(&[(u64::MAX, 10_000)]));
        assert_eq!(lines(&beats, 3), ["    100 s   █", "     less  ▓"]);
        assert_eq!(lines(&VecDeque::new(), 3), ["", ""]);
    }

    #[test]
    fn a_power_of_ten_has_a_unit() {
        let labels: Vec<_> = (0..12).step_by(3).map(|power| label(power + 1)).collect();
        assert_eq!(labels, ["10 ns", "10 µs", "10 ms", "10 s"]);
    }
}
