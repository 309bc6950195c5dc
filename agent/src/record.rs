//! The verb `record`: a session kept in a file, to be looked at later and elsewhere.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Args;

use crate::{
    cli::DEGRADED,
    session::{
        asked::SessionArgs,
        by::By,
        file::Writer,
        live::Live,
        losses,
        recording::State,
        until::{self, Next, Until},
    },
    trace,
};

#[derive(Args)]
pub struct RecordArgs {
    /// Where to; until the session ends it is FILE.partial
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace FILE if it is there
    #[arg(long)]
    force: bool,
    /// What to tell calls apart by; report can leave out any of it, and add nothing
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "geometry,entry,how,device,comm,tgid,caller,kstack,errno"
    )]
    by: Vec<By>,
    /// How often what was counted is read and written: 500ms, 1s, 1min
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = crate::session::filters::duration)]
    every: Duration,
    #[command(flatten)]
    session: SessionArgs,
}

/// Watches, and writes what it sees.
///
/// # Errors
/// When nothing can be watched, or the file not be written.
pub fn record(args: &RecordArgs) -> Result<ExitCode> {
    trace::runtime()?.block_on(watch(args))
}

async fn watch(args: &RecordArgs) -> Result<ExitCode> {
    let asked = args.session.asked(&args.by, false);
    let stops = until::stops()?;
    let mut live = Live::attach(&asked)?;
    // Before the command begins: it should not run for nothing.
    let mut file = Writer::create(&args.output, args.force, live.about())?;
    trace::say(&live, &args.session.until);
    let every = args.every.max(Duration::from_millis(10));
    let mut until = Until::begin(&args.session.until, stops, &mut live, every).await?;
    while until.next().await? == Next::Tick {
        let state = live.read()?;
        file.write(live.keys(), &state)?;
    }
    live.detach()?;
    let last = live.read()?;
    file.write(live.keys(), &last)?;
    file.finish()?;
    Ok(until.status().unwrap_or(told(&last)))
}

/// Says what was lost.
fn told(last: &State) -> ExitCode {
    for loss in losses::words(&last.lost) {
        eprintln!("daxscope: {loss}");
    }
    ExitCode::from(if last.lost.is_empty() { 0 } else { DEGRADED })
}
