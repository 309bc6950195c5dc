//! How somebody wants to see a session.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::{
    by::By,
    filters::Filters,
    recording::Recording,
    table::Table,
    views::{
        csv, flame,
        folded::{self, has_stacks},
        heat, hist,
        words::{self, Words},
    },
};
use crate::cli::DEGRADED;

/// A table for people, if nothing else is asked for.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output")]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub struct Output {
    /// Print one JSON object instead of a table
    #[arg(long, conflicts_with_all = ["csv", "folded", "hist"])]
    pub json: bool,
    /// Print a line for each group, as RFC 4180 says
    #[arg(long, conflicts_with_all = ["folded", "hist"])]
    pub csv: bool,
    /// Print stacks as tools for flame graphs read them, with how many calls they have; needs --by kstack or ustack
    #[arg(long, conflicts_with = "hist")]
    pub folded: bool,
    /// Print a histogram of the durations of each group, below the table
    #[arg(long)]
    pub hist: bool,
    /// Draw into FILE too: a flame graph of calls with --by kstack or ustack, else a heat map of durations over time
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

impl Output {
    /// Whether it shows more than the end: then all readings must be kept.
    #[must_use]
    pub const fn over_time(&self) -> bool {
        self.svg.is_some()
    }

    /// Says what cannot be, before anything is measured.
    ///
    /// # Errors
    /// When stacks are to be shown that nobody asks for, or a picture cannot be where it should.
    pub fn check(&self, by: &[By]) -> Result<()> {
        if self.folded && !has_stacks(by) {
            bail!("--folded shows stacks: add kstack or ustack to --by");
        }
        let parent = self.svg.as_deref().and_then(Path::parent);
        if let Some(parent) = parent.filter(|parent| !parent.as_os_str().is_empty()) {
            fs::metadata(parent)
                .with_context(|| format!("cannot write into {}", parent.display()))?;
        }
        Ok(())
    }
}

/// Shows a recording, grouped. What views without room for notes cannot say goes to standard error.
///
/// # Errors
/// When it has not what is asked for, or that cannot be written.
pub fn show(
    recording: &Recording,
    by: &[By],
    filters: &Filters,
    output: &Output,
) -> Result<ExitCode> {
    output.check(by)?;
    let table = Table::of(recording, by, filters)?;
    if output.json {
        println!("{}", serde_json::to_string_pretty(&table.json()?)?);
    } else if output.csv {
        print!("{}", csv::csv(&table));
        eprint!("{}", words::notes(&table));
    } else if output.folded {
        print!("{}", folded::folded(&table)?);
        eprint!("{}", words::gaps(&table));
    } else {
        print!("{}", Words(&table));
        if output.hist {
            print!("{}", hist::hists(&table));
        }
    }
    if let Some(file) = &output.svg {
        let picture = if has_stacks(by) {
            flame::svg(&table)
        } else {
            heat::svg(recording, &table)
        };
        let picture = picture.with_context(|| format!("{} is not drawn", file.display()))?;
        fs::write(file, picture).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let status = if table.lost.is_empty() { 0 } else { DEGRADED };
    Ok(ExitCode::from(status))
}
