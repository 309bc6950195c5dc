//! What a Prometheus that has run for a while must be able to say, and what it took.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::hosts::{DOWN, Hosts, ILL};
use super::{Args, server::Prometheus};
use crate::command::workspace;
use crate::grafana;

const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];
const RUNBOOKS: &str = "https://github.com/daxscope/daxscope/blob/main/docs/runbooks/";

/// Each rule is evaluated without an error and recorded something; each alert has all that whoever is woken by it needs.
pub fn rules(prometheus: &Prometheus) -> Result<()> {
    let answer = prometheus.json("/api/v1/rules")?;
    for rule in each_rule(&answer) {
        let name = text(&rule["name"]);
        ensure!(rule["health"] == "ok", "rule {name}: {}", rule["lastError"]);
        if rule["type"] == "alerting" {
            alert(name, rule)?;
        } else {
            let series = prometheus.query(name)?;
            ensure!(!series.is_empty(), "rule {name} recorded nothing");
        }
    }
    Ok(())
}

fn alert(name: &str, rule: &Value) -> Result<()> {
    let severity = text(&rule["labels"]["severity"]);
    ensure!(
        SEVERITIES.contains(&severity),
        "{name}: severity {severity:?}"
    );
    for word in ["summary", "description"] {
        let said = text(&rule["annotations"][word]);
        ensure!(!said.is_empty(), "{name} has no {word}");
    }
    let url = text(&rule["annotations"]["runbook_url"]);
    ensure!(
        url == format!("{RUNBOOKS}{name}.md"),
        "{name}: runbook_url {url:?}"
    );
    let page = workspace().join(format!("docs/runbooks/{name}.md"));
    ensure!(page.is_file(), "{name} has no {}", page.display());
    Ok(())
}

fn each_rule(answer: &Value) -> impl Iterator<Item = &Value> {
    let groups = answer["data"]["groups"].as_array().into_iter().flatten();
    groups.flat_map(|group| group["rules"].as_array().into_iter().flatten())
}

/// Pending alerts are those of the hosts that are ill, and no others.
pub fn alerts(prometheus: &Prometheus) -> Result<()> {
    let mut expected = vec![
        format!("DaxscopeDown {}", Hosts::name(DOWN)),
        format!("DaxscopeNotReady {}", Hosts::name(ILL)),
        format!("DaxscopeProbeNotAttached {}", Hosts::name(ILL)),
    ];
    let series = prometheus.query("ALERTS")?;
    let told = |one: &Value| {
        let labels = &one["metric"];
        format!(
            "{} {}",
            text(&labels["alertname"]),
            text(&labels["instance"])
        )
    };
    let mut found: Vec<String> = series.iter().map(told).collect();
    found.sort();
    expected.sort();
    ensure!(found == expected, "alerts are {found:?}, not {expected:?}");
    Ok(())
}

/// Every query of the dashboards gives at least one series, for one host and for all.
pub fn queries(prometheus: &Prometheus, interval: u64) -> Result<()> {
    // As Grafana computes $__rate_interval: four scrapes.
    let rate_interval = format!("{}s", 4 * interval);
    let healthy = Hosts::name(DOWN + 1);
    let mut asked = 0;
    for (path, board) in grafana::boards() {
        for instance in [healthy.as_str(), ".*"] {
            if board.one_host && instance == ".*" {
                continue;
            }
            let fill = grafana::Fill {
                instance,
                rate_interval: &rate_interval,
            };
            for (panel, query) in board.queries(&fill) {
                // Of the healthy host there are no alerts.
                if instance != ".*" && query.contains("ALERTS") {
                    continue;
                }
                let series = prometheus.query(&query);
                let series = series.with_context(|| format!("{path}: {panel}: {query}"))?;
                if !series.iter().any(has_value) {
                    bail!("{path}: {panel} shows nothing: {query}: {series:?}");
                }
                asked += 1;
            }
        }
    }
    println!("{asked} queries of dashboards, each with series");
    Ok(())
}

/// A number; 0 by 0 is none.
fn has_value(series: &Value) -> bool {
    text(&series["value"][1]) != "NaN"
}

/// For docs/fleet.md.
pub fn figures(prometheus: &Prometheus, args: &Args) -> Result<String> {
    let mut out = String::new();
    let one = |expr: &str| -> Result<f64> {
        let value = prometheus.one(expr)?;
        value.with_context(|| format!("{expr} gives nothing"))
    };
    let metrics = prometheus.metrics()?;
    let own = |name: &str| -> Result<f64> {
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = line.and_then(|value| value.parse().ok());
        value.with_context(|| format!("Prometheus does not say {name}"))
    };
    let mut row = |what: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| {what} | {value} |");
    };
    row("hosts", args.hosts.to_string());
    row("scraped every", format!("{} s", args.interval));
    let up = "job=\"daxscope\"";
    row(
        "samples of a scrape",
        format!(
            "{:.0}",
            one(&format!("max(scrape_samples_scraped{{{up}}})"))?
        ),
    );
    let ms = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
    row(
        "time of a scrape, mean",
        ms(one(&format!("avg(scrape_duration_seconds{{{up}}})"))?),
    );
    row(
        "time of a scrape, 99th percentile",
        ms(one(&format!(
            "quantile(0.99, scrape_duration_seconds{{{up}}})"
        ))?),
    );
    row(
        "series in memory",
        format!("{:.0}", own("prometheus_tsdb_head_series")?),
    );
    let federated = one(r#"count({__name__=~"cluster.*:daxscope_.*", cluster="even"})"#)?;
    row(
        "series of a cluster, for a federation",
        format!("{federated:.0}"),
    );
    let appended = "prometheus_tsdb_head_samples_appended_total{type=\"float\"}";
    let appended = own(appended).or_else(|_| own("prometheus_tsdb_head_samples_appended_total"))?;
    row("samples taken in", format!("{appended:.0}"));
    row(
        "memory of Prometheus",
        format!(
            "{:.0} MiB",
            own("process_resident_memory_bytes")? / 1_048_576.0
        ),
    );
    row(
        "processor time of Prometheus",
        format!("{:.1} s", own("process_cpu_seconds_total")?),
    );
    let answer = prometheus.json("/api/v1/rules")?;
    let groups = answer["data"]["groups"].as_array();
    for group in groups.into_iter().flatten() {
        let took = group["evaluationTime"].as_f64().unwrap_or(f64::NAN);
        row(&format!("evaluation of {}", text(&group["name"])), ms(took));
    }
    Ok(out)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
