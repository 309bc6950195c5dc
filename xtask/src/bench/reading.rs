//! One figure of the bench, as a guest prints it and as the committed file keeps it.

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// A figure, or why there is none. Its unit follows from its row.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// What was measured: `get`, `unpin`, `scrape/bytes`, …
    pub row: String,
    /// Who watched meanwhile, or was measured: `daxscope/fentry`, `bpftrace/kprobe`, …
    pub who: String,
    pub outcome: Result<Amount, String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Amount {
    pub value: f64,
    /// Between the quartiles of repeated measurements; 0 where one says all.
    pub spread: f64,
    /// What the same work takes with nobody there, where `value` is what was added to it.
    pub base: Option<f64>,
}

impl Amount {
    pub fn once(value: f64) -> Amount {
        Amount {
            value,
            spread: 0.0,
            base: None,
        }
    }
}

impl Reading {
    pub fn new(row: impl Into<String>, who: impl Into<String>, outcome: Result<Amount>) -> Reading {
        Reading {
            row: row.into(),
            who: who.into(),
            outcome: outcome.map_err(|error| format!("{error:#}").replace('\n', " ")),
        }
    }

    pub fn json(&self) -> Value {
        let Reading { row, who, outcome } = self;
        match outcome {
            Ok(amount) => {
                let mut told = json!({
                    "row": row, "who": who, "value": tenths(amount.value), "spread": tenths(amount.spread)
                });
                if let Some(base) = amount.base {
                    told["base"] = json!(tenths(base));
                }
                told
            }
            Err(reason) => json!({"row": row, "who": who, "reason": reason}),
        }
    }

    pub fn parse(told: &Value) -> Result<Reading> {
        let word = |key: &str| {
            let word = told[key].as_str().map(str::to_owned);
            word.with_context(|| format!("a reading without {key:?}: {told}"))
        };
        let outcome = match told["reason"].as_str() {
            Some(reason) => Err(reason.to_owned()),
            None => Ok(Amount {
                value: told["value"]
                    .as_f64()
                    .with_context(|| format!("a reading without a value: {told}"))?,
                spread: told["spread"].as_f64().unwrap_or(0.0),
                base: told["base"].as_f64(),
            }),
        };
        Ok(Reading {
            row: word("row")?,
            who: word("who")?,
            outcome,
        })
    }
}

/// For whoever waits for the next.
impl std::fmt::Display for Reading {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(out, "{:16} {:20} ", self.row, self.who)?;
        match &self.outcome {
            Ok(amount) => write!(out, "{}", tenths(amount.value)),
            Err(reason) => write!(out, "none: {reason}"),
        }
    }
}

/// Counts repeat to about a tenth; more digits would only make a file differ.
fn tenths(value: f64) -> f64 {
    // Shares in percent and ratios are small numbers.
    let digits = if value.abs() < 10.0 { 1e4 } else { 10.0 };
    (value * digits).round() / digits
}

/// Prefix of a line with a reading, before the run's nonce.
pub const MARK: &str = "DAXSCOPE-COST";

/// A line of a guest, if it carries a reading of this run.
pub fn read_line(line: &str, nonce: &str) -> Option<Result<Reading>> {
    let told = line.strip_prefix(MARK)?.strip_prefix(' ')?;
    let told = told.strip_prefix(nonce)?.strip_prefix(' ')?;
    let parsed = serde_json::from_str(told)
        .with_context(|| format!("no JSON: {told:?}"))
        .and_then(|value| Reading::parse(&value));
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_only_with_the_nonce_and_comes_back_whole() {
        let amount = Amount {
            value: 2304.3,
            spread: 0.2,
            base: Some(2947.1),
        };
        let good = Reading::new("get", "daxscope/fentry", Ok(amount));
        let bad = Reading::new("get", "perf", Err(anyhow::anyhow!("no\nperf")));
        for reading in [good, bad] {
            let line = format!("{MARK} abc {}", reading.json());
            assert_eq!(read_line(&line, "abc").unwrap().unwrap(), reading.clone());
            assert!(read_line(&line, "abd").is_none());
        }
        assert!(
            read_line(&format!("{MARK} abc {{}}"), "abc")
                .unwrap()
                .is_err()
        );
        assert!(read_line("anything", "abc").is_none());
    }

    #[test]
    fn figures_keep_the_digits_that_repeat() {
        let told = [2304.3127, 0.034_561, 9.0].map(|value| tenths(value).to_string());
        assert_eq!(told, ["2304.3", "0.0346", "9"]);
    }
}
