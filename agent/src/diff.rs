//! The verb `diff`: two recorded sessions side by side.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;

use crate::{
    cli::DEGRADED,
    report,
    session::{by::By, diff::Diff, file, filters::Filters},
};

#[derive(Args)]
pub struct DiffArgs {
    /// What was recorded before
    #[arg(value_name = "A")]
    a: PathBuf,
    /// What was recorded after
    #[arg(value_name = "B")]
    b: PathBuf,
    /// What to tell calls apart by, of what was recorded in both: any of these, with commas; geometry,entry if left out
    #[arg(long, value_enum, value_delimiter = ',')]
    by: Vec<By>,
    #[command(flatten)]
    filters: Filters,
    /// Print one JSON object instead of a table
    #[arg(long, conflicts_with = "csv", help_heading = "Output")]
    json: bool,
    /// Print a line for each group, as RFC 4180 says
    #[arg(long, help_heading = "Output")]
    csv: bool,
}

/// Compares two recordings.
///
/// # Errors
/// When one cannot be read, or has not what is asked for.
pub fn diff(args: &DiffArgs) -> Result<ExitCode> {
    let [a, b] = [&args.a, &args.b].map(|path| file::read(path));
    let (a, b) = (a?, b?);
    let mut by = report::by(&args.by, &a.about);
    if args.by.is_empty() {
        by.retain(|by| b.about.by.contains(by));
    }
    let diff = Diff::of([&a, &b], &by, &args.filters)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&diff.json()?)?);
    } else if args.csv {
        print!("{}", diff.csv());
        eprint!("{}", diff.notes());
    } else {
        print!("{diff}");
    }
    let lost = diff.tables.iter().any(|table| !table.lost.is_empty());
    Ok(ExitCode::from(if lost { DEGRADED } else { 0 }))
}
