//! Whom a Prometheus knows, whom it reaches and why not, and with which labels: compared whole.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{server::Prometheus, wait};

/// Two scrapes, and time to begin.
const PATIENCE: Duration = Duration::from_mins(1);
/// Of one that was not asked yet.
const UNKNOWN: &str = "not asked yet";

/// A Prometheus with one configuration, and whom it must know.
pub struct Case {
    pub name: &'static str,
    prometheus: Prometheus,
    expected: BTreeSet<Target>,
}

/// Whom a Prometheus knows.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub url: String,
    /// All that each series of it gets, as JSON.
    pub labels: String,
    /// Why it is not reached; nothing if it is.
    pub error: String,
}

/// One that is reached.
pub fn up(url: String, labels: &Value) -> Target {
    Target {
        url,
        labels: labels.to_string(),
        error: String::new(),
    }
}

impl Case {
    pub fn start(
        name: &'static str,
        at: &Path,
        expected: impl IntoIterator<Item = Target>,
    ) -> Result<Self> {
        Ok(Self {
            name,
            prometheus: Prometheus::start(at).with_context(|| name.to_owned())?,
            expected: expected.into_iter().collect(),
        })
    }

    pub fn judge(&self) -> Result<()> {
        let mut found = BTreeSet::new();
        let all = wait("each host was asked once", PATIENCE, || {
            found = self.targets()?;
            Ok(found.len() >= self.expected.len() && found.iter().all(|one| one.error != UNKNOWN))
        });
        all.with_context(|| format!("it knows of {found:?}"))?;
        ensure!(
            found == self.expected,
            "it knows of {found:?}, not of {:?}",
            self.expected
        );
        self.series()?;
        let rules = self.prometheus.json("/api/v1/rules")?;
        let groups = rules["data"]["groups"].as_array().map_or(0, Vec::len);
        ensure!(groups > 1, "it has {groups} groups of rules");
        Ok(())
    }

    /// Those whom it asks, as it says. Of an error only what is expected of it.
    fn targets(&self) -> Result<BTreeSet<Target>> {
        let answer = self.prometheus.json("/api/v1/targets?state=active")?;
        let targets = answer["data"]["activeTargets"].as_array();
        let target = |one: &Value| {
            let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
            let said = text("lastError");
            let error = match text("health").as_str() {
                "up" => String::new(),
                "unknown" => UNKNOWN.to_owned(),
                _ => {
                    let known = self.expected.iter().map(|one| &one.error);
                    let mut known =
                        known.filter(|error| !error.is_empty() && said.contains(*error));
                    known.next().unwrap_or(&said).clone()
                }
            };
            Target {
                url: text("scrapeUrl"),
                labels: one["labels"].to_string(),
                error,
            }
        };
        Ok(targets.into_iter().flatten().map(target).collect())
    }

    /// `up` of all, and devices of those who are reached, with the very labels of their target: rules and dashboards join by
    /// them, and a `node` is a device's.
    fn series(&self) -> Result<()> {
        let reached = |one: &&Target| one.error.is_empty();
        let labels = |targets: Vec<&Target>| -> BTreeSet<String> {
            targets.iter().map(|one| one.labels.clone()).collect()
        };
        let expected = labels(self.expected.iter().filter(reached).collect());
        for expr in [
            "sum without (__name__) (up == 1)",
            "sum by (cluster, instance, job) (daxscope_pagemap_info{node!=\"\"})",
            "sum by (cluster, instance, job) (daxscope_memory_bytes > 0)",
        ] {
            let series = self.prometheus.query(expr)?;
            let found = series.iter().map(|one| one["metric"].to_string()).collect();
            ensure!(
                expected == found,
                "{expr} is of {found:?}, not of {expected:?}"
            );
        }
        let down = self.prometheus.query("up == 0")?.len();
        ensure!(
            down == self.expected.len() - expected.len(),
            "{down} hosts have up 0"
        );
        Ok(())
    }
}
