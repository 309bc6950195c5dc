//! `daxscope check`: its exit code, its JSON, and whether its verdicts are those of the kernel.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::guest::agent;
use crate::guest::oracle::{self, GUP};
use crate::guest::report::{Figures, Report};

pub fn check(report: &mut Report, mechanism: &str) {
    report.check(&format!("check/{mechanism}"), |figures| {
        let output = agent::run(&["check", "--json", "--mechanism", mechanism])?;
        let code = output
            .status
            .code()
            .context("check was killed by a signal")?;
        let text = String::from_utf8(output.stdout).context("check --json did not print UTF-8")?;
        let told: Value = serde_json::from_str(&text).with_context(|| {
            format!(
                "check --json exits {code} and prints no JSON: {}",
                String::from_utf8_lossy(&output.stderr)
            )
        })?;
        let verdict = told["verdict"].as_str().context("no verdict")?;
        let means = match verdict {
            "ok" => 0,
            "degraded" => 3,
            "failed" => 1,
            other => bail!("unknown verdict {other:?}"),
        };
        figures.equal(&format!("exit code of verdict {verdict}"), means, code);
        let running = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
        figures.equal(
            "kernel",
            running.trim(),
            told["kernel"].as_str().unwrap_or_default(),
        );

        figures.equal(
            "BTF",
            "/sys/kernel/btf/vmlinux",
            told["btf"]["path"].as_str().unwrap_or_default(),
        );

        // Attaching and detaching everything costs an emulated guest many seconds: once is enough for the words.
        if mechanism == "auto" {
            let plain = agent::run(&["check"])?;
            figures.equal(
                "exit code without --json",
                code,
                plain.status.code().unwrap_or(-1),
            );
            let words = String::from_utf8_lossy(&plain.stdout).contains(verdict);
            figures.holds("its words name the verdict", words);
        }

        let probes = told["probes"].as_array().context("no list of probes")?;
        let missing = compare(figures, mechanism, probes)?;
        let required_missing: Vec<_> = missing.iter().filter(|(_, required)| *required).collect();
        figures.holds(
            &format!("verdict {verdict} with required probes missing {required_missing:?}"),
            (verdict == "ok") == required_missing.is_empty(),
        );
        Ok(())
    });
}

/// Compare each verdict with `available_filter_functions`; returns the probes that are not attached.
fn compare(
    figures: &mut Figures,
    mechanism: &str,
    probes: &[Value],
) -> Result<Vec<(String, bool)>> {
    let traceable = oracle::traceable()?;
    let mut watched = BTreeSet::new();
    let mut missing = Vec::new();
    for probe in probes {
        let field = |key: &str| {
            probe[key]
                .as_str()
                .with_context(|| format!("probe without {key}: {probe}"))
        };
        let (name, symbol, reason) = (field("probe")?, field("symbol")?, field("reason")?);
        let attached = probe["attached"]
            .as_bool()
            .with_context(|| format!("probe without attached: {probe}"))?;
        let required = probe["required"]
            .as_bool()
            .with_context(|| format!("probe without required: {probe}"))?;
        if attached {
            figures.holds_quietly(
                &format!("{name} sits on {symbol}, which is traceable"),
                traceable.contains(symbol),
            );
            let by = field("mechanism")?;
            figures.holds_quietly(
                &format!("{name} is attached by {by}"),
                mechanism == "auto" || by.contains(mechanism),
            );
            watched.insert(symbol);
        } else {
            missing.push((format!("{name}: {reason}"), required));
            figures.holds_quietly(
                &format!("{name} is not attached and gives a reason"),
                !reason.is_empty(),
            );
            // What is needed, there and traceable can always be kprobed.
            let excused = mechanism == "fentry" || !required || !traceable.contains(symbol);
            figures.holds_quietly(
                &format!("{name} is not on {symbol:?}, although kprobes work there"),
                excused,
            );
        }
    }
    for (symbol, ..) in GUP
        .iter()
        .filter(|(symbol, ..)| traceable.contains(*symbol))
    {
        let known = watched.contains(symbol)
            || missing
                .iter()
                .any(|(name, _)| name.starts_with(&format!("{symbol}:")));
        figures.holds_quietly(
            &format!("{symbol} exists here and has a probe or a reason"),
            known,
        );
    }
    figures.note(format!(
        "{} attached, not attached {missing:?}",
        watched.len()
    ));
    Ok(missing)
}
