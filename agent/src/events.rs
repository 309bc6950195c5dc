//! The verb `events`: each call, as it happens.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::Result;
use aya::maps::{MapData, RingBuf};
use clap::Args;
use daxscope_common::session::Event as Told;
use tokio::io::unix::AsyncFd;

use crate::{
    cli::DEGRADED,
    probes::session,
    session::{
        asked::SessionArgs,
        by::By,
        event,
        live::Live,
        until::{self, Next, Until},
    },
    trace,
};

/// How often it is looked whether anything got lost.
const EVERY: Duration = Duration::from_secs(1);
/// Events that are put into words at once.
const BATCH: usize = 1024;

#[derive(Args)]
pub struct EventsArgs {
    /// Stop after so many
    #[arg(long, short = 'n', value_name = "EVENTS")]
    count: Option<u64>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Show the functions of the kernel that led to each
    #[arg(long)]
    stack: bool,
    #[command(flatten)]
    session: SessionArgs,
}

/// Watches, and tells each call.
///
/// # Errors
/// When nothing can be watched, or nothing can be written.
pub fn events(args: &EventsArgs) -> Result<ExitCode> {
    trace::runtime()?.block_on(watch(args))
}

async fn watch(args: &EventsArgs) -> Result<ExitCode> {
    // Each line says who asked for the pages.
    let asked = args.session.asked(&[By::Caller], true);
    let stops = until::stops()?;
    let mut live = Live::attach(&asked)?;
    let mut printer = Printer::new(args);
    trace::say(&live, &args.session.until);
    printer.begin()?;
    // SAFETY: the ring owns its file descriptor, and keeps it open as long as it lives.
    let mut ring = unsafe { AsyncFd::register(live.events()?) }?;
    let mut until = Until::begin(&args.session.until, stops, &mut live, EVERY).await?;
    while !printer.full() {
        tokio::select! {
            next = until.next() => if next? == Next::End { break },
            ready = ring.readable_mut() => {
                let mut ready = ready?;
                printer.drain(ready.get_inner_mut(), &mut live)?;
                ready.clear_ready();
            }
        }
    }
    live.detach()?;
    printer.drain(ring.get_mut(), &mut live)?;
    let lost = live.lost()?;
    for (what, n) in &lost {
        eprintln!("daxscope: lost: {what}: {n}");
    }
    let told = if lost.is_empty() { 0 } else { DEGRADED };
    Ok(until.status().unwrap_or_else(|| ExitCode::from(told)))
}

/// Writes events down.
struct Printer<'a> {
    args: &'a EventsArgs,
    printed: u64,
}

impl<'a> Printer<'a> {
    fn new(args: &'a EventsArgs) -> Self {
        Self { args, printed: 0 }
    }

    fn begin(&self) -> Result<()> {
        if !self.args.json {
            writeln!(io::stdout(), "{}", event::header())?;
        }
        Ok(())
    }

    /// Whether as many are written as were asked for.
    fn full(&self) -> bool {
        self.args.count.is_some_and(|count| self.printed >= count)
    }

    /// Writes what the ring holds, a batch at a time: each takes the kernel's list of functions at most once.
    fn drain(&mut self, ring: &mut RingBuf<MapData>, live: &mut Live) -> Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        loop {
            let mut told: Vec<Told> = vec![];
            while told.len() < BATCH
                && let Some(bytes) = ring.next()
            {
                told.extend(session::event(&bytes));
            }
            if told.is_empty() {
                break;
            }
            for event in live.tell(&told, self.args.stack) {
                if self.full() {
                    break;
                }
                if self.args.json {
                    serde_json::to_writer(&mut out, &event)?;
                    writeln!(out)?;
                } else {
                    writeln!(out, "{event}")?;
                }
                self.printed += 1;
            }
        }
        out.flush()?;
        Ok(())
    }
}
