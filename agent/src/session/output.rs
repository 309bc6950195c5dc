//! How somebody wants to see a session.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{by::By, filters::Filters, recording::Recording, table::Table, views::words::Words};
use crate::cli::DEGRADED;

/// A table for people, if nothing else is asked for.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

impl Output {
    /// Whether it shows more than the end: then all readings must be kept.
    #[must_use]
    pub const fn over_time(&self) -> bool {
        false
    }
}

/// Shows a recording, grouped.
///
/// # Errors
/// When it has not what is asked for, or that cannot be written.
pub fn show(
    recording: &Recording,
    by: &[By],
    filters: &Filters,
    output: &Output,
) -> Result<ExitCode> {
    let table = Table::of(recording, by, filters)?;
    if output.json {
        println!("{}", serde_json::to_string_pretty(&table.json()?)?);
    } else {
        print!("{}", Words(&table));
    }
    let status = if table.lost.is_empty() { 0 } else { DEGRADED };
    Ok(ExitCode::from(status))
}
