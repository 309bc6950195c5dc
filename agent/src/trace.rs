//! The verb `trace`: watch calls for a while, and sum them up.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::session::{
    asked::SessionArgs,
    by::By,
    filters::Filters,
    live::Live,
    output::{self, Output},
    recording::Recording,
    until::{self, Next, Until, UntilArgs},
};

/// How often what was counted is read.
const EVERY: Duration = Duration::from_secs(1);
/// The same by user stacks: those of a process that has ended by then have no names.
const OFTEN: Duration = Duration::from_millis(200);

#[derive(Args)]
pub struct TraceArgs {
    /// What to tell calls apart by: any of these, with commas
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "geometry,entry"
    )]
    by: Vec<By>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    session: SessionArgs,
}

/// Watches, and shows what it saw.
///
/// # Errors
/// When nothing can be watched, or the result not be shown.
pub fn trace(args: &TraceArgs) -> Result<ExitCode> {
    args.output.check(&args.by)?;
    runtime()?.block_on(watch(args))
}

async fn watch(args: &TraceArgs) -> Result<ExitCode> {
    let asked = args.session.asked(&args.by, false);
    let stops = until::stops()?;
    let mut live = Live::attach(&asked)?;
    say(&live, &args.session.until);
    let every = if args.by.contains(&By::Ustack) {
        OFTEN
    } else {
        EVERY
    };
    let mut until = Until::begin(&args.session.until, stops, &mut live, every).await?;
    let mut recording = Recording {
        about: live.about().clone(),
        keys: vec![],
        states: vec![],
    };
    while until.next().await? == Next::Tick {
        let state = live.read()?;
        recording.take(live.keys(), state, args.output.over_time());
    }
    live.detach()?;
    let state = live.read()?;
    recording.take(live.keys(), state, args.output.over_time());
    drop(live);
    let shown = output::show(&recording, &asked.by, &Filters::default(), &args.output)?;
    Ok(until.status().unwrap_or(shown))
}

/// The runtime of a session: one thread.
///
/// # Errors
/// When there is none to be had.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")
}

/// Says that it has begun, how it ends, and what is missing.
pub fn say(live: &Live, until: &UntilArgs) {
    let points = &live.about().points;
    let watched = points.iter().filter(|point| point.mechanism.is_some());
    for point in points.iter().filter(|point| point.mechanism.is_none()) {
        log::debug!("not watched: {}: {}", point.entry, point.reason);
    }
    let ends = match (until.command.first(), until.time) {
        (Some(command), _) => format!("what {command} does, until it ends"),
        (None, Some(time)) => format!("for {time:?}"),
        (None, None) => "until Ctrl-C".into(),
    };
    eprintln!("daxscope: watching {} functions, {ends}", watched.count());
    if !until.command.is_empty() && points.iter().any(|point| point.family == "memremap") {
        eprintln!(
            "daxscope: drivers may bring regions up in a worker of the kernel, which is not of the command's processes: \
             without a command, or with --for, all are watched"
        );
    }
}
