//! The verb `check`: what this kernel can do, in words.

use std::{collections::BTreeSet, fmt, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::{DEGRADED, FAILED, ProbeArgs},
    inventory::Survey,
    kernel::{Kernel, privileges::Privileges},
    load::{self, Mechanism, Probes, Verdict},
    probes::health,
    text::{self, Flush},
};

#[derive(Args)]
pub struct CheckArgs {
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    probes: ProbeArgs,
}

/// The verdicts on all points, taken together.
pub struct Verdicts<'a>(pub &'a [Verdict]);

impl Verdicts<'_> {
    /// How many points are attached.
    #[must_use]
    pub fn attached(&self) -> usize {
        self.0.iter().filter(|v| v.mechanism.is_some()).count()
    }

    /// Required points that are not attached.
    pub fn missing(&self) -> impl Iterator<Item = &Verdict> {
        self.0
            .iter()
            .filter(|v| v.required && v.mechanism.is_none())
    }

    /// # Errors
    /// When nothing is attached, with the first reason and a remedy.
    pub fn ensure_any(&self) -> Result<()> {
        if self.attached() > 0 {
            return Ok(());
        }
        let reason = self
            .0
            .first()
            .map_or("nothing was tried", |first| &first.reason);
        // Which probe it is said of depends on how far the kernel let each come.
        let remedy = self.0.iter().find_map(|verdict| verdict.remedy);
        let remedy = remedy.map_or(String::new(), |remedy| format!(" ({remedy})"));
        anyhow::bail!("no probe can be attached: {reason}{remedy}; `daxscope check` says more")
    }

    /// Why what is attached by fentry may miss calls, if it may.
    #[must_use]
    pub fn imprecise(&self) -> Option<&str> {
        let by_fentry = |verdict: &&Verdict| verdict.mechanism == Some(Mechanism::Fentry);
        let reason = &self.0.iter().find(by_fentry)?.reason;
        (!reason.is_empty()).then_some(reason)
    }

    /// What can be done about what is not attached, each once.
    #[must_use]
    pub fn remedies(&self) -> BTreeSet<&'static str> {
        let bare = self.0.iter().filter(|verdict| verdict.mechanism.is_none());
        bare.filter_map(|verdict| verdict.remedy).collect()
    }
}

/// Everything that `check` found out.
struct Report {
    kernel: Kernel,
    /// Where the kernel's types were read; else why not. To load lets go of them.
    btf: Result<PathBuf, String>,
    privileges: Privileges,
    /// What can be read of pagemaps that are there already.
    survey: Survey,
    /// Nothing could be loaded: why.
    probes: Result<Probes>,
    /// What was lost meanwhile.
    losses: Vec<String>,
}

/// Loads and attaches everything, says what came of it, and detaches.
///
/// # Errors
/// When a given BTF file cannot be used, or the report not be printed.
pub fn check(args: &CheckArgs) -> Result<ExitCode> {
    let mut kernel = Kernel::read(args.probes.btf.as_deref())?;
    let mut survey = Survey::open(&kernel);
    let options = load::Options {
        choice: args.probes.choice(),
        log: false,
        holders: false,
        latency: true,
        session: None,
    };
    let btf = kernel.btf.as_ref();
    let btf = btf.map(|btf| btf.path.clone());
    let btf = btf.map_err(|error| format!("{error:#}"));
    let probes = load::load(&mut kernel, Some(&mut survey), &options);
    let losses = probes.as_ref().map_or_else(|_| vec![], health::losses);
    let report = Report {
        survey,
        losses,
        kernel,
        btf,
        privileges: Privileges::read(),
        probes,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report.json())?);
    } else {
        print!("{report}");
    }
    Ok(ExitCode::from(report.outcome().1))
}

impl Report {
    fn verdicts(&self) -> &[Verdict] {
        self.probes.as_ref().map_or(&[], |probes| &probes.verdicts)
    }

    fn geometry_unknown(&self) -> Option<&str> {
        self.probes.as_ref().ok()?.facts.geometry_unknown.as_deref()
    }

    /// The verdict on the whole, and the exit status.
    fn outcome(&self) -> (&'static str, u8) {
        let verdicts = Verdicts(self.verdicts());
        if verdicts.attached() == 0 {
            ("failed", FAILED)
        } else if verdicts.missing().next().is_some()
            || self.geometry_unknown().is_some()
            || self.survey.unmeasurable().is_some()
        {
            ("degraded", DEGRADED)
        } else {
            ("ok", 0)
        }
    }

    fn json(&self) -> Value {
        let probes: Vec<_> = self.verdicts().iter().map(verdict_json).collect();
        let btf = json!({ "path": self.btf.as_ref().ok(), "error": self.btf.as_ref().err() });
        json!({
            "daxscope": crate::VERSION,
            "kernel": self.kernel.release,
            "btf": btf,
            "preempts": self.kernel.preemption.to_string(),
            "privileges": self.privileges.json(),
            "geometry_unknown": self.geometry_unknown(),
            "pagemaps": {
                "source": if self.survey.unreadable().is_some() { "sysfs" } else { "pgmap_array" },
                "reason": self.survey.unreadable(),
                "unmeasurable": self.survey.unmeasurable(),
            },
            "lost": self.losses,
            "error": self.probes.as_ref().err().map(|error| format!("{error:#}")),
            "probes": probes,
            "verdict": self.outcome().0,
        })
    }
}

fn verdict_json(verdict: &Verdict) -> Value {
    json!({
        "family": verdict.family,
        "probe": verdict.point,
        "symbol": verdict.symbol,
        "mechanism": verdict.mechanism.map(Mechanism::name),
        "attached": verdict.mechanism.is_some(),
        "required": verdict.required,
        "reason": verdict.reason,
        "remedy": verdict.remedy,
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "kernel      {}", self.kernel.release)?;
        match &self.btf {
            Ok(path) => writeln!(f, "BTF         {}", path.display())?,
            Err(error) => writeln!(f, "BTF         none: {error}")?,
        }
        writeln!(f, "preempts    {}", self.kernel.preemption)?;
        let access = &self.privileges;
        let capabilities = match access.capabilities[..] {
            [] => "no capability that helps".to_owned(),
            ref some => some.join(" "),
        };
        let lockdown = access.lockdown.as_deref().unwrap_or("not in this kernel");
        let paranoid = access.perf_event_paranoid;
        let paranoid =
            paranoid.map_or_else(|| "not in this kernel".into(), |level| level.to_string());
        writeln!(
            f,
            "access      {capabilities}; lockdown {lockdown}; perf_event_paranoid {paranoid}"
        )?;
        match (self.survey.unreadable(), self.survey.unmeasurable()) {
            (None, None) => writeln!(f, "pagemaps    read and measured in the kernel")?,
            (None, Some(reason)) => {
                writeln!(f, "pagemaps    read in the kernel, not measured: {reason}")?;
            }
            (Some(reason), _) => writeln!(f, "pagemaps    from sysfs: {reason}")?,
        }
        match &self.probes {
            Err(error) => writeln!(f, "probes      none: {error:#}")?,
            Ok(probes) => {
                let geometry = probes
                    .facts
                    .geometry_unknown
                    .as_deref()
                    .unwrap_or("can be told");
                writeln!(f, "geometry    {geometry}\n")?;
                f.write_str(&table(&probes.verdicts))?;
            }
        }
        let verdicts = Verdicts(self.verdicts());
        let (attached, missing) = (verdicts.attached(), verdicts.missing().count());
        let (outcome, _) = self.outcome();
        for loss in &self.losses {
            writeln!(f, "\nlost while checking: {loss}")?;
        }
        for remedy in verdicts.remedies() {
            writeln!(f, "\nremedy: {remedy}")?;
        }
        writeln!(
            f,
            "\n{outcome}: {attached} probe points attach, {missing} required ones do not"
        )
    }
}

fn table(verdicts: &[Verdict]) -> String {
    let columns = ["FAMILY", "PROBE", "ON", "BY", "VERDICT"].map(|title| (title, Flush::Left));
    let rows: Vec<_> = verdicts
        .iter()
        .map(|verdict| {
            let by = verdict.mechanism.map_or("-", Mechanism::name);
            let word = match (verdict.mechanism, verdict.required) {
                (Some(_), _) => "attached",
                (None, true) => "MISSING",
                (None, false) => "absent",
            };
            let why = match verdict.reason.as_str() {
                "" => word.to_owned(),
                reason => format!("{word} ({reason})"),
            };
            let on = verdict.mechanism.map_or("-", |_| verdict.symbol);
            [verdict.family, verdict.point, on, by, &why].map(str::to_owned)
        })
        .collect();
    text::table(columns, &rows)
}
