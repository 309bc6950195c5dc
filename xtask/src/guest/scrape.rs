//! One scrape of the agent: the text exposition format (version 0.0.4) back to numbers.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};

use super::http;

type Labels = BTreeMap<String, String>;

#[derive(Clone, Debug, Default)]
pub struct Scrape {
    samples: BTreeMap<(String, Labels), f64>,
    pub text: String,
}

impl Scrape {
    pub fn of(address: SocketAddr) -> Result<Scrape> {
        Scrape::parse(&http::get(address, "/metrics")?)
    }

    pub fn parse(text: &str) -> Result<Scrape> {
        let mut scrape = Scrape {
            samples: BTreeMap::new(),
            text: text.to_owned(),
        };
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let (name, labels, value) =
                sample(line).with_context(|| format!("in the exposition line {line:?}"))?;
            if scrape.samples.insert((name, labels), value).is_some() {
                bail!("the same series twice: {line:?}");
            }
        }
        Ok(scrape)
    }

    /// Series of this name that carry all of these labels.
    pub fn series(
        &self,
        name: &str,
        with: &[(&str, &str)],
    ) -> impl Iterator<Item = (&Labels, f64)> {
        self.samples
            .iter()
            .filter_map(move |((found, labels), value)| {
                let carries = with
                    .iter()
                    .all(|(key, value)| labels.get(*key).is_some_and(|found| found == value));
                (found == name && carries).then_some((labels, *value))
            })
    }

    /// The labels of every series.
    pub fn labels(&self) -> impl Iterator<Item = &Labels> {
        self.samples.keys().map(|(_, labels)| labels)
    }

    /// Sum over them; a series that does not exist (yet) counts as zero.
    pub fn total(&self, name: &str, with: &[(&str, &str)]) -> u64 {
        let sum: f64 = self.series(name, with).map(|(_, value)| value).sum();
        whole(sum)
    }

    /// The one series that carries these labels, `None` if there is none or more.
    pub fn value(&self, name: &str, with: &[(&str, &str)]) -> Option<f64> {
        let mut all = self.series(name, with);
        let (_, value) = all.next()?;
        all.next().is_none().then_some(value)
    }

    /// What is wrong with the histograms: buckets that fall, an infinite bucket that is not the count, a
    /// count without a sum.
    pub fn histogram_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for ((name, labels), count) in &self.samples {
            let Some(base) = name.strip_suffix("_count") else {
                continue;
            };
            let mut buckets: Vec<(f64, f64)> = Vec::new();
            let named = format!("{base}_bucket");
            for ((_, of), value) in self.samples.iter().filter(|((name, _), _)| *name == named) {
                let mut others = of.clone();
                let le = others.remove("le").and_then(|le| number(&le));
                match le {
                    Some(le) if others == *labels => buckets.push((le, *value)),
                    Some(_) => {}
                    None => faults.push(format!("{named}{of:?} has no usable le")),
                }
            }
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            if buckets.windows(2).any(|pair| pair[0].1 > pair[1].1) {
                faults.push(format!("{named}{labels:?} falls with le: {buckets:?}"));
            }
            match buckets.last() {
                Some((le, value)) if le.is_infinite() && whole(*value) == whole(*count) => {}
                last => faults.push(format!(
                    "{named}{labels:?} ends in {last:?}, the count is {count}"
                )),
            }
            let sum = self
                .samples
                .get(&(format!("{base}_sum"), labels.clone()))
                .copied();
            if !sum.is_some_and(|sum| {
                if *count > 0.0 {
                    sum > 0.0
                } else {
                    whole(sum) == 0
                }
            }) {
                faults.push(format!("{base}{labels:?} counts {count} with sum {sum:?}"));
            }
        }
        faults
    }
}

/// What was added between two scrapes of one agent.
pub struct Delta<'a> {
    pub before: &'a Scrape,
    pub after: &'a Scrape,
}

impl Delta<'_> {
    pub fn of(&self, name: &str, with: &[(&str, &str)]) -> u64 {
        let (before, after) = (self.before.total(name, with), self.after.total(name, with));
        after
            .checked_sub(before)
            .unwrap_or_else(|| panic!("{name}{with:?} fell from {before} to {after}"))
    }
}

/// `name{label="value",…} value`
fn sample(line: &str) -> Result<(String, Labels, f64)> {
    let name_end = line.find(['{', ' ']).context("no value")?;
    let (name, mut rest) = line.split_at(name_end);
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (key, quoted) = rest
                .split_once("=\"")
                .context("a label without a quoted value")?;
            let (value, after) = unquote(quoted)?;
            ensure!(
                labels.insert(key.to_owned(), value).is_none(),
                "label {key:?} twice"
            );
            rest = after.strip_prefix(',').unwrap_or(after);
            ensure!(!rest.is_empty(), "labels do not end");
        }
        rest = &rest[1..];
    }
    let value =
        number(rest.trim()).with_context(|| format!("{:?} is not a number", rest.trim()))?;
    Ok((name.to_owned(), labels, value))
}

/// Text up to the closing quote, and what follows it.
fn unquote(text: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                other => bail!("unknown escape {other:?}"),
            },
            letter => value.push(letter),
        }
    }
    bail!("a label value does not end")
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}

/// Counts are whole and far below 2^53, so the conversion is exact; anything else is a fault of the agent.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(value: f64) -> u64 {
    assert!(
        value >= 0.0 && value.fract() == 0.0 && value < 9e15,
        "{value} is not a count"
    );
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP x_seconds time
# TYPE x_seconds histogram
x_seconds_bucket{how="pin",le="0.1"} 1
x_seconds_bucket{how="pin",le="+Inf"} 3
x_seconds_sum{how="pin"} 0.5
x_seconds_count{how="pin"} 3
calls{how="pin",entry="fast"} 5
calls{how="pin",entry="slow"} 2
calls{how="get",entry="fast"} 1
odd{reason="a \"b\" \\ {c}, d=\"e\"\n"} 1
plain 1e3
"#;

    #[test]
    fn totals_sum_over_the_labels_that_were_not_asked_for() {
        let scrape = Scrape::parse(TEXT).unwrap();
        assert_eq!(scrape.total("calls", &[("how", "pin")]), 7);
        assert_eq!(
            scrape.total("calls", &[("how", "pin"), ("entry", "slow")]),
            2
        );
        assert_eq!(scrape.total("calls", &[]), 8);
        assert_eq!(scrape.total("plain", &[]), 1000);
        assert_eq!(scrape.total("absent", &[]), 0);
    }

    #[test]
    fn label_values_are_unescaped() {
        let scrape = Scrape::parse(TEXT).unwrap();
        let (labels, _) = scrape.series("odd", &[]).next().unwrap();
        assert_eq!(labels["reason"], "a \"b\" \\ {c}, d=\"e\"\n");
    }

    #[test]
    fn what_is_no_exposition_is_refused() {
        for line in [
            "calls",
            "calls{how=\"pin\"",
            "calls{how=pin} 1",
            "calls{how=\"pin} 1",
            "calls{} x",
            "a 1\na 1",
        ] {
            assert!(Scrape::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_sound_histogram_has_no_faults_and_each_fault_is_found() {
        assert_eq!(
            Scrape::parse(TEXT).unwrap().histogram_faults(),
            Vec::<String>::new()
        );
        for (from, to) in [
            ("le=\"0.1\"} 1", "le=\"0.1\"} 4"),
            ("le=\"+Inf\"} 3", "le=\"+Inf\"} 2"),
            ("le=\"+Inf\"} 3", "le=\"1\"} 3"),
            (
                "x_seconds_sum{how=\"pin\"} 0.5",
                "x_seconds_sum{how=\"pin\"} 0",
            ),
            ("x_seconds_sum{how=\"pin\"} 0.5\n", ""),
        ] {
            let broken = TEXT.replace(from, to);
            assert_ne!(broken, TEXT);
            assert!(
                !Scrape::parse(&broken)
                    .unwrap()
                    .histogram_faults()
                    .is_empty(),
                "{from} -> {to}"
            );
        }
    }
}
