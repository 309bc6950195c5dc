//! What a Prometheus that has run for a while must be able to say, and what it took.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::hosts::{DOWN, Hosts, ILL};
use super::{Args, ill, queries, server::Prometheus};
use crate::command::workspace;

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
            let counts = |one: &Value| queries::value(one).is_some_and(|value| value != 0.0);
            ensure!(
                series.iter().any(counts),
                "rule {name} recorded nothing but 0, or nothing at all"
            );
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

/// Pending alerts are those of the hosts that are ill, and no others; and every alert is pending, but for those that take longer.
pub fn alerts(prometheus: &Prometheus) -> Result<()> {
    let of_ill = |(alert, device): &(&str, &str)| format!("{alert} {} {device}", Hosts::name(ILL));
    let mut expected: BTreeSet<String> = ill::ALERTS.iter().map(of_ill).collect();
    expected.insert(format!("DaxscopeDown {} ", Hosts::name(DOWN)));
    let series = prometheus.query("ALERTS")?;
    let told = |one: &Value| {
        let label = |name| text(&one["metric"][name]);
        let [alert, instance, device] = ["alertname", "instance", "device"].map(label);
        format!("{alert} {instance} {device}")
    };
    let found: BTreeSet<String> = series.iter().map(told).collect();
    ensure!(found == expected, "alerts are {found:?}, not {expected:?}");
    let answer = prometheus.json("/api/v1/rules?type=alert")?;
    let all: BTreeSet<&str> = each_rule(&answer).map(|rule| text(&rule["name"])).collect();
    let names = expected.iter().filter_map(|one| one.split(' ').next());
    let known: BTreeSet<&str> = names.chain(ill::OF_HISTORY).collect();
    ensure!(all == known, "there are the alerts {all:?}, not {known:?}");
    Ok(())
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
    let of_hosts = "count({__name__=~\"instance.*:daxscope_.*\"}) / count(up == 1)";
    row(
        "series of a host by rules, mean",
        format!("{:.1}", one(of_hosts)?),
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
