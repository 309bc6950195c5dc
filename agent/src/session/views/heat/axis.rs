//! Axes with marks where people look for them.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// A linear axis.
pub struct Axis {
    range: Range<f64>,
    marks: Vec<f64>,
}

impl Axis {
    pub fn of_seconds(end: f64) -> Self {
        Self {
            range: 0.0..end,
            marks: steps(end),
        }
    }

    /// Of decimal logarithms of nanoseconds.
    pub fn of_powers(low: f64, high: f64) -> Self {
        Self {
            range: low..high,
            marks: decades(low, high),
        }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    #[expect(clippy::cast_possible_truncation, reason = "pixels")]
    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        first + (share * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// Decimal logarithms of 1, 2 and 5 times powers of ten, or of these alone where that were too many.
fn decades(low: f64, high: f64) -> Vec<f64> {
    let factors: &[f64] = match high - low {
        ..2.5 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let powers = (0..13).map(f64::from);
    let all = powers.flat_map(|power| factors.iter().map(move |factor| power + factor.log10()));
    all.filter(|at| (low..=high).contains(at)).collect()
}

/// Some round moments up to an end; seconds.
fn steps(end: f64) -> Vec<f64> {
    let power = 10_f64.powf((end / 8.0).log10().floor());
    let fitting = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = fitting
        .into_iter()
        .find(|step| end / step <= 8.0)
        .unwrap_or(end);
    // What is not exact in binary is rounded to what it is meant to be.
    let moments = (0..=8).map(|n| (f64::from(n) * step * 1e6).round() / 1e6);
    moments.filter(|at| *at <= end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_few() {
        assert_eq!(steps(10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(steps(0.3), [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]);
        assert_eq!(
            steps(3600.0),
            [0.0, 500.0, 1000.0, 1500.0, 2000.0, 2500.0, 3000.0, 3500.0]
        );
        assert_eq!(decades(2.9, 6.1), [3.0, 4.0, 5.0, 6.0]);
        assert_eq!(decades(3.9, 5.0).len(), 4);
    }
}
