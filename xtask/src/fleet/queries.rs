//! Every query of the dashboards, as Grafana would ask it: it must show something of a healthy host, and other figures than 0 of
//! some host: one that is ill has some of everything.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::hosts::{DOWN, Hosts, ILL};
use super::server::Prometheus;
use crate::grafana::{self, Asked, Board, Fill};

pub fn judge(prometheus: &Prometheus, interval: u64) -> Result<()> {
    // As Grafana computes $__rate_interval: four scrapes.
    let rate_interval = format!("{}s", 4 * interval);
    let mut asked = 0;
    let mut faults = Vec::new();
    for (path, board) in grafana::boards() {
        let mut seen: Vec<Seen> = Vec::new();
        for instance in instances(&board) {
            let fill = Fill {
                instance: &instance,
                rate_interval: &rate_interval,
            };
            let queries = board.queries(&fill);
            asked += queries.len();
            seen.resize_with(queries.len(), Seen::default);
            for (one, seen) in queries.into_iter().zip(&mut seen) {
                let series = prometheus.query(&one.query);
                let series =
                    series.with_context(|| format!("{path}: {}: {}", one.panel, one.query))?;
                // A healthy host has no alerts.
                let may_be_none = one.query.contains("ALERTS") && instance == healthy();
                if !may_be_none && !series.iter().any(|one| value(one).is_some()) {
                    faults.push(format!("{} shows nothing: {}", one.panel, one.query));
                }
                seen.see(&one, &series);
            }
        }
        faults.extend(seen.iter().flat_map(Seen::faults));
    }
    ensure!(
        faults.is_empty(),
        "{} faults of dashboards: {}",
        faults.len(),
        faults.join("; ")
    );
    println!("{asked} queries of dashboards, each with series, none always 0");
    Ok(())
}

fn healthy() -> String {
    Hosts::name(DOWN + 1)
}

/// Whom a board is asked about: two hosts, and all if it is for that.
fn instances(board: &Board) -> Vec<String> {
    let mut instances = vec![healthy(), Hosts::name(ILL)];
    if !board.one_host {
        instances.push(".*".to_owned());
    }
    instances
}

/// A number; 0 by 0 is none.
pub fn value(series: &Value) -> Option<f64> {
    let value: f64 = series["value"][1].as_str()?.parse().ok()?;
    (!value.is_nan()).then_some(value)
}

/// What became of a query with every filling.
#[derive(Default)]
struct Seen {
    /// The last of them.
    name: String,
    /// Whether a value was neither 0 nor none.
    counts: bool,
    /// Labels that a reader is shown, and whether a series had one.
    labels: BTreeMap<String, bool>,
}

impl Seen {
    fn see(&mut self, one: &Asked, series: &[Value]) {
        self.name = format!("{}: {}", one.panel, one.query);
        self.counts |= series
            .iter()
            .any(|one| value(one).is_some_and(|value| value != 0.0));
        for label in one.labels() {
            let has = |one: &Value| !one["metric"][label].as_str().unwrap_or_default().is_empty();
            *self.labels.entry(label.to_owned()).or_default() |= series.iter().any(has);
        }
    }

    fn faults(&self) -> Vec<String> {
        let none = self.labels.iter().filter(|(_, there)| !**there);
        let mut faults: Vec<String> = none
            .map(|(label, _)| format!("no series with {label}: {}", self.name))
            .collect();
        if !self.counts {
            faults.push(format!("always 0: {}", self.name));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_zero_and_a_wrong_label_are_faults() {
        let faults = |query: &str, value: &str| {
            let asked = Asked {
                panel: "Panel",
                legend: "{{a}}",
                query: query.to_owned(),
            };
            let mut seen = Seen::default();
            seen.see(
                &asked,
                &[json!({"metric": {"a": "x"}, "value": [0, value]})],
            );
            seen.faults().len()
        };
        assert_eq!(faults("sum by (a) (y)", "0.5"), 0);
        assert_eq!(faults("sum by (a) (y)", "0"), 1);
        assert_eq!(faults("sum by (b) (y)", "NaN"), 2);
    }
}
