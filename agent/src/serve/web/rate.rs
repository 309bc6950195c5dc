//! How many requests there may be in a time, from all clients together (`rate_limit`): a bucket that fills by one request each
//! interval, up to `burst`.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::section::Section;

pub static KEYS: [&str; 2] = ["interval", "burst"];

/// The bucket of a web configuration.
#[derive(Debug)]
pub struct Rate {
    interval: Duration,
    burst: u32,
    /// When the bucket was empty, had it only been filled since.
    empty: Mutex<Option<Instant>>,
}

impl Rate {
    /// `None` if nothing is limited.
    ///
    /// # Errors
    /// When a value is no duration or no number, or nothing would ever be let through.
    pub fn read(mut section: Section) -> Result<Option<Self>> {
        let interval = section.made("interval", duration)?.unwrap_or_default();
        let number = |text: &str| text.parse::<u32>().ok().context("must be a whole number");
        let burst = section.made("burst", number)?;
        if interval.is_zero() {
            return Ok(None);
        }
        let burst = burst.unwrap_or(0);
        ensure!(
            burst > 0,
            "rate_limit.burst: at 0 or left out, every request would be refused; give 1 or more"
        );
        ensure!(
            interval
                .checked_mul(burst)
                .is_some_and(|all| all < Duration::from_hours(24 * 365)),
            "rate_limit.burst: it would take more than a year to fill"
        );
        let empty = Mutex::default();
        Ok(Some(Self {
            interval,
            burst,
            empty,
        }))
    }

    /// Takes one request out of the bucket, if there is one.
    pub fn admit(&self, now: Instant) -> bool {
        let mut empty = self
            .empty
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let full = now.checked_sub(self.interval * self.burst);
        let since = empty.or(full).unwrap_or(now);
        // What flows over is lost.
        let since = full.map_or(since, |full| since.max(full));
        let next = since + self.interval;
        let admitted = next <= now;
        *empty = Some(if admitted { next } else { since });
        admitted
    }
}

/// A duration as Go writes it: `1s`, `250ms`, `1m30s`, `1.5h`, `0`.
fn duration(text: &str) -> Result<Duration> {
    parsed(text).context("must be a duration, such as 1s, 250ms or 1m30s")
}

fn parsed(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        rest = &rest[end..];
        sum = sum.checked_add(Duration::try_from_secs_f64(number * unit).ok()?)?;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("1s", 1_000),
            ("250ms", 250),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("1000us", 1),
        ] {
            assert_eq!(parsed(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "1",
            "s",
            "-1s",
            "1 s",
            "1s ",
            "1x",
            "1e9s",
            "..s",
            "99999999999999999999h",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn a_burst_then_one_each_interval() {
        let rate = Rate {
            interval: Duration::from_secs(1),
            burst: 3,
            empty: Mutex::default(),
        };
        let start = Instant::now() + Duration::from_mins(1);
        let at = |ms| rate.admit(start + Duration::from_millis(ms));
        let admitted: Vec<_> = [0, 0, 0, 0, 500, 1000, 1100, 2000].map(at).into();
        assert_eq!(
            admitted,
            [true, true, true, false, false, true, false, true]
        );
        let later: Vec<_> = [60_000; 4].map(at).into();
        assert_eq!(later, [true, true, true, false]);
    }
}
