//! Calls and the groups that they make: by whoever made them, by the events of a session, by its table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::guest::report::Figures;

/// Every dimension that whoever made a call knows.
pub const KNOWN: [&str; 10] = [
    "geometry", "entry", "how", "device", "comm", "pid", "tgid", "cgroup", "errno", "longterm",
];

/// Calls that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    pub times: u64,
    /// What is the same of all pages: dimension, value.
    pub is: BTreeMap<&'static str, String>,
    /// Pages asked for by each.
    pub asked: u64,
    /// Of each: geometry, device, pages.
    pub parts: Vec<(String, String, u64)>,
    /// How long it took; of a single one.
    pub ns: Option<u64>,
}

/// What groups are compared in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sum {
    pub calls: u64,
    pub pages: u64,
    pub errors: u64,
}

impl fmt::Display for Sum {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Sum {
            calls,
            pages,
            errors,
        } = self;
        write!(out, "{calls} calls {pages} pages {errors} errors")
    }
}

impl Sum {
    pub fn add(&mut self, other: Sum) {
        self.calls += other.calls;
        self.pages += other.pages;
        self.errors += other.errors;
    }
}

/// By the values of some dimensions.
pub type Groups = BTreeMap<Vec<String>, Sum>;

impl Calls {
    /// Pages that each returned.
    pub fn pages(&self) -> u64 {
        self.parts.iter().map(|(.., pages)| pages).sum()
    }

    /// Its value in a dimension, for the pages of one part.
    fn value(&self, (geometry, device, _): &(String, String, u64), by: &str) -> String {
        match by {
            "geometry" => geometry.clone(),
            "device" => device.clone(),
            other => self.is.get(other).cloned().unwrap_or_default(),
        }
    }
}

/// Groups of those parts that fit: the call itself is in the group of its first page, each page in its own.
pub fn grouped<'a>(
    calls: impl IntoIterator<Item = &'a Calls>,
    by: &[&str],
    fits: impl Fn(&Calls, [&str; 2]) -> bool,
) -> Groups {
    let mut groups = Groups::new();
    for calls in calls {
        for (place, part) in calls.parts.iter().enumerate() {
            if !fits(calls, [&part.0, &part.1]) {
                continue;
            }
            let key = by.iter().map(|by| calls.value(part, by)).collect();
            let first = if place == 0 { calls.times } else { 0 };
            let failed = calls.is.get("errno").is_some_and(|errno| errno != "ok");
            groups.entry(key).or_default().add(Sum {
                calls: first,
                pages: calls.times * part.2,
                errors: if failed { first } else { 0 },
            });
        }
    }
    groups
}

/// All of them.
pub fn total(groups: &Groups) -> Sum {
    groups.values().fold(Sum::default(), |mut sum, group| {
        sum.add(*group);
        sum
    })
}

/// One figure for all groups, and one for each that differs.
pub fn equal(figures: &mut Figures, what: &str, expected: &Groups, observed: &Groups) {
    let keys: BTreeSet<_> = expected.keys().chain(observed.keys()).collect();
    for key in &keys {
        let of = |groups: &Groups| groups.get(*key).copied().unwrap_or_default();
        figures.equal_quietly(&format!("{what}: {key:?}"), of(expected), of(observed));
    }
    figures.equal_quietly(&format!("{what}: groups"), expected.len(), observed.len());
    figures.equal(
        &format!("{what}: {} groups", keys.len()),
        total(expected),
        total(observed),
    );
}

/// A table: what `trace --json` and `report --json` print.
pub struct Table(Value);

impl Table {
    pub fn parse(text: &str) -> Result<Table> {
        let table = serde_json::from_str(text);
        Ok(Table(table.with_context(|| format!("no table: {text:?}"))?))
    }

    /// Groups by these of its dimensions, of those that fit.
    pub fn groups(&self, by: &[&str], fits: impl Fn(&Value) -> bool) -> Result<Groups> {
        let mut groups = Groups::new();
        for group in self.each() {
            if fits(group) {
                let key = by.iter().map(|by| word(&group[*by]));
                let key: Vec<String> = key.collect::<Result<_>>()?;
                groups.entry(key).or_default().add(sum(group)?);
            }
        }
        Ok(groups)
    }

    pub fn each(&self) -> impl Iterator<Item = &Value> {
        self.0["groups"].as_array().into_iter().flatten()
    }

    /// The places in the kernel that were to be watched.
    pub fn points(&self) -> impl Iterator<Item = &Value> {
        self.0["about"]["points"].as_array().into_iter().flatten()
    }

    pub fn total(&self) -> Result<Sum> {
        sum(&self.0["total"])
    }

    /// Nothing was lost, and the total is that of the groups.
    pub fn sound(&self, figures: &mut Figures, what: &str) -> Result<()> {
        let lost = self.0["lost"].to_string();
        figures.equal_quietly(&format!("{what}: lost"), "{}", &lost);
        let groups = self.groups(&[], |_| true)?;
        figures.equal_quietly(&format!("{what}: total"), total(&groups), self.total()?);
        Ok(())
    }

    /// By how much percentiles may be off; percent.
    pub fn error(&self) -> Result<f64> {
        let error = self.0["percentile_error_percent"].as_f64();
        error.context("the table does not say by how much percentiles may be off")
    }
}

fn sum(group: &Value) -> Result<Sum> {
    let number = |name: &str| {
        let number = group[name].as_u64();
        number.with_context(|| format!("no {name} in {group}"))
    };
    Ok(Sum {
        calls: number("calls")?,
        pages: number("pages")?,
        errors: number("errors")?,
    })
}

/// A value as one text: a number in digits, a stack with `;` between its functions.
pub fn word(value: &Value) -> Result<String> {
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(stack) => {
            let words: Vec<String> = stack.iter().map(word).collect::<Result<_>>()?;
            words.join(";")
        }
        other => bail!("{other} is no value of a dimension"),
    })
}

/// The lines of `events --json`.
pub fn events(text: &str) -> Result<Vec<Calls>> {
    let parse = |line: &str| -> Result<Calls> {
        let event: Value = serde_json::from_str(line)?;
        let mut is = BTreeMap::new();
        for by in KNOWN.into_iter().chain(["caller"]) {
            match by {
                "geometry" | "device" => {}
                "longterm" => {
                    let longterm = event[by].as_bool().context("longterm")?;
                    is.insert(by, if longterm { by } else { "-" }.to_owned());
                }
                _ => drop(is.insert(by, word(&event[by])?)),
            }
        }
        is.insert("kstack", word(&event["stack"])?);
        let parts = event["parts"].as_array().context("parts")?.iter();
        let part = |part: &Value| {
            let pages = part["pages"].as_u64().context("pages of a part")?;
            Ok((word(&part["geometry"])?, word(&part["device"])?, pages))
        };
        let calls = Calls {
            times: 1,
            is,
            asked: event["asked"].as_u64().unwrap_or(0),
            parts: parts.map(part).collect::<Result<_>>()?,
            ns: event["ns"].as_u64(),
        };
        let pages = event["pages"].as_u64().context("pages")?;
        anyhow::ensure!(calls.pages() == pages, "parts of other pages than all");
        Ok(calls)
    };
    let events = text
        .lines()
        .map(|line| parse(line).with_context(|| format!("in the event {line}")));
    events.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"at":"2026-11-22T20:08:17.1Z","cpu":1,"comm":"a","pid":8,"tgid":7,"cgroup":"/x","entry":"f",
        "how":"pin","longterm":false,"address":"0x7f00","asked":8,"pages":8,"errno":"ok","parts":[{"geometry":"system","device":
        "system","pages":5},{"geometry":"2M","device":"dax0.0","pages":3}],"sampled":false,"ns":900,"caller":"g","stack":[]}"#;

    #[test]
    fn a_call_is_of_its_first_page_and_each_page_of_its_own() {
        let calls = events(&EVENT.replace('\n', " ")).unwrap();
        let by = |by: &[&str]| grouped(&calls, by, |_, _| true);
        let sum = |calls, pages| Sum {
            calls,
            pages,
            errors: 0,
        };
        let text = |words: [&str; 2]| words.map(str::to_owned).to_vec();
        let expected = [
            (text(["2M", "a"]), sum(0, 3)),
            (text(["system", "a"]), sum(1, 5)),
        ];
        assert_eq!(by(&["geometry", "comm"]), Groups::from(expected));
        assert_eq!(total(&by(&["pid"])), sum(1, 8));
        let one = grouped(&calls, &[], |_, [geometry, _]| geometry == "2M");
        assert_eq!(total(&one), sum(0, 3));
    }

    #[test]
    fn a_table_is_grouped_by_some_of_its_dimensions() {
        let table = Table::parse(
            r#"{"percentile_error_percent":6.0,"lost":{},"total":{"calls":3,"pages":9,"errors":1},"groups":[
            {"comm":"a","pid":1,"calls":1,"pages":4,"errors":0},{"comm":"a","pid":2,"calls":2,"pages":5,"errors":1}]}"#,
        )
        .unwrap();
        let groups = table.groups(&["comm"], |_| true).unwrap();
        assert_eq!(groups[&vec!["a".to_owned()]], table.total().unwrap());
        let second = table.groups(&["pid"], |group| group["pid"] == 2).unwrap();
        assert_eq!(total(&second).pages, 5);
        assert!(Table::parse("{").is_err());
    }

    #[test]
    fn an_event_whose_parts_are_not_its_pages_is_refused() {
        let wrong = EVENT
            .replace('\n', " ")
            .replace("\"pages\":8", "\"pages\":9");
        assert!(events(&wrong).is_err());
    }
}
