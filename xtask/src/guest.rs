//! What runs inside a guest: pins, regions and the proof of the agent against figures that are not its own.
//!
//! The kernel keeps its own account of what the agent measures (`/proc/vmstat`, kprobe hit counters, sysfs,
//! `/proc/iomem`). The checks cause a known amount of work, read both, and compare to the page.

mod agent;
mod checks;
mod cost;
mod demo;
mod host;
mod http;
mod installed;
mod kmsg;
mod objects;
mod oracle;
mod pin;
mod region;
mod report;
pub mod scrape;
mod session;
mod work;

use clap::Subcommand;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Prove every figure of the agent on this kernel, one line per check
    Checks(checks::Args),
    /// Prove the package and the image, in a Debian with systemd
    Installed(installed::Args),
    /// Count the instructions of a system call, with and without the agent
    Cost(cost::Args),
    /// All figures of `cargo xtask bench` that one guest can give
    Bench(cost::BenchArgs),
    /// Make three regions, pin from each, and leave the agent serving
    Demo,
    /// Pin pages by one system call and print what the kernel says happened
    Pin(pin::command::Args),
    /// Take long-term pins and keep them until told a line
    Hold(pin::hold::Args),
    /// Make known calls, each time a line tells so
    Work(work::Args),
    /// Print the errno that `bpf(2)` gives for a map that is not open
    TryBpf,
    /// Run a program with less than all
    Limited(host::Args),
    /// Leave threads in the kernel, each in the middle of pinning a page, until told a line
    Park(pin::park::Args),
}

pub fn main(args: Args) -> anyhow::Result<()> {
    match args.verb {
        Verb::Checks(args) => checks::main(&args),
        Verb::Installed(args) => installed::main(&args),
        Verb::Cost(args) => cost::main(&args),
        Verb::Bench(args) => cost::bench(&args),
        Verb::Demo => demo::main(),
        Verb::Pin(args) => pin::command::main(&args),
        Verb::Hold(args) => pin::hold::main(&args),
        Verb::Work(args) => work::main(&args),
        Verb::TryBpf => checks::try_bpf(),
        Verb::Limited(args) => host::main(&args),
        Verb::Park(args) => pin::park::main(&args),
    }
}
