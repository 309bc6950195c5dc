//! The verb `report`: a recorded session, shown as `trace` shows a live one.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use crate::session::{
    by::By,
    file,
    filters::Filters,
    output::{self, Output},
    recording::About,
};

#[derive(Args)]
pub struct ReportArgs {
    /// What `daxscope record` has written
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What to tell calls apart by, of what was recorded: any of these, with commas; geometry,entry if left out
    #[arg(long, value_enum, value_delimiter = ',')]
    by: Vec<By>,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    output: Output,
}

/// Shows a recording.
///
/// # Errors
/// When it cannot be read, or has not what is asked for.
pub fn report(args: &ReportArgs) -> Result<ExitCode> {
    let recording = file::read(&args.file)?;
    let by = by(&args.by, &recording.about);
    output::show(&recording, &by, &args.filters, &args.output)
}

/// What is asked for; else what was recorded of geometry and entry.
#[must_use]
pub fn by(asked: &[By], about: &About) -> Vec<By> {
    if !asked.is_empty() {
        return asked.to_vec();
    }
    let mut usual = vec![By::Geometry, By::Entry];
    usual.retain(|by| about.by.contains(by));
    usual
}
