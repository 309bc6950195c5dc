//! Figures as people read them.

use std::time::Duration;

use super::html::Html;
use crate::text;

/// What is not known, or not there yet.
pub const NOTHING: &str = "–";

/// `0`, `0.4`, `12`, `1.5k`: how many in a second.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "for showing, and not below 0"
)]
pub fn rate(count: u64, over: Duration) -> String {
    let rate = count as f64 / over.as_secs_f64().max(f64::MIN_POSITIVE);
    if count == 0 {
        "0".into()
    } else if rate < 0.05 {
        "< 0.1".into()
    } else if rate < 10.0 {
        format!("{rate:.1}")
    } else {
        text::count(rate.round() as u64)
    }
}

/// `12 pages`, `1 page`
#[must_use]
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", text::count(n), if n == 1 { one } else { many })
}

/// Nothing of something is no news.
#[must_use]
pub fn quiet(zero: bool, words: String) -> Html {
    if zero {
        Html::new()
            .raw("<span class=zero>")
            .text(words)
            .raw("</span>")
    } else {
        Html::from(words)
    }
}

/// Seconds, as a duration.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, which is what is wanted"
)]
pub fn seconds(seconds: f64) -> String {
    text::duration((seconds * 1e9) as u64)
}

/// `2,398,311`: to the last, in thousands.
#[must_use]
pub fn exact(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::from(if n < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        let exact = [0, 999, 1000, -1234, 2_398_311].map(exact);
        assert_eq!(exact, ["0", "999", "1,000", "-1,234", "2,398,311"]);
        let second = Duration::from_secs(10);
        let rates = [0, 1, 5, 99, 100, 15_000].map(|n| rate(n, second));
        assert_eq!(rates, ["0", "0.1", "0.5", "9.9", "10", "1.5k"]);
        assert_eq!(rate(1, Duration::from_hours(1)), "< 0.1");
    }
}
