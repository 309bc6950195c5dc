//! What is shown of a group.

use super::model::Tallies;
use crate::{session::tally::Tally, text};

/// A figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Calls,
    Pages,
    Errors,
    Inside,
    P50,
    P90,
    P99,
    Max,
}

/// Since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// The reading before, of so many milliseconds: rates.
    Last(u64),
    /// The probes were attached.
    Beginning,
}

impl Column {
    /// What fits on any screen, and can be sorted by.
    pub const ALWAYS: [Self; 6] = [
        Self::Calls,
        Self::Pages,
        Self::Errors,
        Self::Inside,
        Self::P50,
        Self::P99,
    ];
    pub const WIDE: [Self; 8] = [
        Self::Calls,
        Self::Pages,
        Self::Errors,
        Self::Inside,
        Self::P50,
        Self::P90,
        Self::P99,
        Self::Max,
    ];

    #[must_use]
    pub const fn title(self, since: Since) -> &'static str {
        match (self, since) {
            (Self::Calls, Since::Last(_)) => "CALLS/S",
            (Self::Calls, Since::Beginning) => "CALLS",
            (Self::Pages, Since::Last(_)) => "PAGES/S",
            (Self::Pages, Since::Beginning) => "PAGES",
            (Self::Errors, Since::Last(_)) => "ERR/S",
            (Self::Errors, Since::Beginning) => "ERR",
            (Self::Inside, _) => "INSIDE",
            (Self::P50, _) => "P50",
            (Self::P90, _) => "P90",
            (Self::P99, _) => "P99",
            (Self::Max, _) => "MAX",
        }
    }

    /// With a blank before it.
    #[must_use]
    pub const fn width(self) -> u16 {
        match self {
            Self::Errors => 7,
            _ => 9,
        }
    }

    #[must_use]
    pub fn cell(self, tally: &Tally, since: Since) -> String {
        let count = |n| match since {
            Since::Last(ms) => rate(n, ms),
            Since::Beginning => text::count(n),
        };
        let percentile = |share| tally.percentile(share).map_or("-".into(), text::duration);
        match self {
            Self::Calls => count(tally.calls),
            Self::Pages if tally.sampled > 0 => format!("~{}", count(tally.pages)),
            Self::Pages => count(tally.pages),
            Self::Errors => count(tally.errors),
            Self::Inside => match since {
                Since::Last(ms) => share(tally.ns, ms),
                Since::Beginning => text::duration(tally.ns),
            },
            Self::P50 => percentile(0.5),
            Self::P90 => percentile(0.9),
            Self::P99 => percentile(0.99),
            Self::Max if tally.timed() == 0 => "-".into(),
            Self::Max => text::duration(tally.max_ns),
        }
    }

    /// What rows are sorted by, the highest first. Equal ones, as all that did nothing now, are by what they did before.
    #[must_use]
    pub fn rank(self, tallies: &Tallies, since: Since) -> [u64; 2] {
        let of = |tally: &Tally| match self {
            Self::Calls => tally.calls,
            Self::Pages => tally.pages,
            Self::Errors => tally.errors,
            Self::Inside => tally.ns,
            Self::P50 => tally.percentile(0.5).unwrap_or(0),
            Self::P90 => tally.percentile(0.9).unwrap_or(0),
            Self::P99 => tally.percentile(0.99).unwrap_or(0),
            Self::Max => tally.max_ns,
        };
        match since {
            Since::Last(_) => [of(&tallies.now), of(&tallies.all)],
            Since::Beginning => [of(&tallies.all), 0],
        }
    }
}

/// How many in a second, of so many in milliseconds: to a tenth below 10, rounded half up.
fn rate(n: u64, ms: u64) -> String {
    if n == 0 || ms == 0 {
        return if n == 0 { "0" } else { "-" }.into();
    }
    match quotient(u128::from(n) * 10_000, u128::from(ms)) {
        0 => "<0.1".into(),
        tenths @ ..100 if tenths % 10 > 0 => format!("{}.{}", tenths / 10, tenths % 10),
        _ => text::count(quotient(u128::from(n) * 1000, u128::from(ms))),
    }
}

/// Nanoseconds as a share of milliseconds, which is above 100 % where several calls last at once.
fn share(ns: u64, ms: u64) -> String {
    if ns == 0 || ms == 0 {
        return if ns == 0 { "0%" } else { "-" }.into();
    }
    match quotient(u128::from(ns), u128::from(ms) * 1000) {
        0 => "<0.1%".into(),
        tenths @ ..1000 => format!("{}.{}%", tenths / 10, tenths % 10),
        tenths => format!("{}%", tenths / 10),
    }
}

/// Rounded half up.
fn quotient(of: u128, by: u128) -> u64 {
    u64::try_from((of + by / 2) / by).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_little_is_not_nothing() {
        for (n, ms, text) in [
            (0, 0, "0"),
            (1, 0, "-"),
            (1, 1000, "1"),
            (1, 4000, "0.3"),
            (1, 100_000, "<0.1"),
            (25, 2000, "13"),
            (3, 2000, "1.5"),
            (30_000, 2000, "15.0k"),
            (u64::MAX, 1, "18.4E"),
        ] {
            assert_eq!(rate(n, ms), text, "{n} in {ms} ms");
        }
        for (ns, ms, text) in [
            (0, 0, "0%"),
            (1, 0, "-"),
            (1, 1000, "<0.1%"),
            (831_000_000, 1000, "83.1%"),
            (999_999_999, 1000, "100%"),
            (64_000_000_000, 1000, "6400%"),
        ] {
            assert_eq!(share(ns, ms), text, "{ns} ns in {ms} ms");
        }
    }
}
