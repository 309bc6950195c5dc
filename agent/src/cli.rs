//! The command line.

mod command;
mod shared;

use std::process::ExitCode;

use clap::Parser;

use self::command::Command;
pub use self::shared::{ProbeArgs, SurveyArgs};
use crate::{
    advise, bench, check, config, diff, events, holders, inventory, list, manual, metrics, probes,
    record, report, run, text, top, trace,
};

/// Nothing could be done.
pub const FAILED: u8 = 1;
/// Bad usage: the command line, or for a daemon any part of its configuration.
pub const USAGE: u8 = 2;
/// Done, but the picture is incomplete.
pub const DEGRADED: u8 = 3;

/// See what struct pages cost on this host: per-geometry struct-page counts, memory-map populate latency and page
/// pinning of persistent-memory, CXL and device-dax memory, measured in the running kernel by eBPF.
#[derive(Parser)]
#[command(name = "daxscope", version = concat!(env!("CARGO_PKG_VERSION"), " (", env!("DAXSCOPE_REVISION"), ")"))]
#[command(after_help = "Examples:
  daxscope check                 what this kernel lets us see, and why not the rest
  daxscope list                  which device costs what, and what deduplication saves
  daxscope advise                what other layouts would cost, and how to get them
  daxscope holders               who holds pins on which device
  daxscope run                   serve metrics on http://127.0.0.1:9954/metrics until stopped
  curl -s 127.0.0.1:9954/metrics | grep struct_pages")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => return usage(&error),
    };
    if !matches!(command, Command::Run(_)) {
        end_with_the_reader();
    }
    let result = match command {
        Command::Run(args) => run::run(&args),
        Command::Config(args) => config::config(&args),
        Command::Check(args) => check::check(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Trace(args) => trace::trace(&args),
        Command::Events(args) => events::events(&args),
        Command::Advise(args) => advise::advise(&args),
        Command::List(args) => list::list(&args),
        Command::Top(args) => top::top(&args),
        Command::MetricsDoc => {
            print!("{}", metrics::markdown(probes::metrics()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Holders(args) => holders::holders(&args),
        Command::Diff(args) => diff::diff(&args),
        Command::Record(args) => record::record(&args),
        Command::Report(args) => report::report(&args),
        Command::Man { directory } => manual::man(&directory),
        Command::Completions { shell } => manual::completions(shell),
        Command::Inventory(args) => inventory::print(&args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("daxscope: {error:#}");
        ExitCode::from(if error.is::<config::Error>() {
            USAGE
        } else {
            FAILED
        })
    })
}

/// Help goes out as it is; what is wrong on one line, as all errors do.
fn usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if !error.use_stderr() || error.kind() == DisplayHelpOnMissingArgumentOrSubcommand {
        error.exit();
    }
    let told = error.render().to_string();
    let lines = told.lines().map(str::trim).filter(|line| !line.is_empty());
    let of_it =
        |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more information");
    let lines = lines.take_while(of_it).chain(["try --help"]);
    let line: Vec<_> = lines.collect();
    let line = line.join("; ").replace(":; ", ": ");
    eprintln!(
        "daxscope: {}",
        text::escaped(line.trim_start_matches("error: "))
    );
    ExitCode::from(USAGE)
}

/// Lets a verb end quietly when what reads its output does (`| head`), as other tools do. Rust would ignore the signal,
/// and panic at the next line; `run` needs it ignored, for its sockets.
fn end_with_the_reader() {
    // SAFETY: no handler of ours is involved.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}
