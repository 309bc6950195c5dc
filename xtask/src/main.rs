//! The project's own commands: `cargo xtask --help`.

mod accel;
mod apt;
mod bench;
mod cache;
mod command;
mod cpio;
mod debian;
mod demo;
mod deny;
mod docs;
mod documents;
mod ebpf;
mod exposure;
mod fleet;
mod grafana;
mod guest;
mod initramfs;
mod install;
mod kernels;
mod links;
mod made_host;
mod manifests;
mod mirror;
mod names;
mod package;
mod page;
mod proof;
mod qemu;
mod setup;
mod table;
mod test;
mod verdict;
mod vm;
mod yaml;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Builds, proves and shows daxscope on real kernels in guests with emulated persistent memory.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Demo(demo::Args),
    Test(test::Args),
    Bench(bench::Args),
    Vm(vm::Args),
    Package(package::Args),
    Docs(docs::Args),
    Fleet(fleet::Args),
    Page(page::Args),
    Setup(setup::Args),
    /// What runs inside a guest
    #[command(hide = true)]
    Guest(guest::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Demo(args) => demo::main(args),
        Verb::Test(args) => test::main(&args),
        Verb::Bench(args) => bench::main(&args),
        Verb::Vm(args) => vm::main(args),
        Verb::Package(args) => package::main(&args),
        Verb::Docs(args) => docs::main(&args).map(|()| ExitCode::SUCCESS),
        Verb::Fleet(args) => fleet::main(&args).map(|()| ExitCode::SUCCESS),
        Verb::Page(args) => page::main(&args).map(|()| ExitCode::SUCCESS),
        Verb::Setup(args) => setup::main(&args).map(|()| ExitCode::SUCCESS),
        Verb::Guest(args) => guest::main(args).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Cargo's target folder, as this program was built into it (`<target>/debug/xtask`).
fn target_dir() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    own.ancestors()
        .nth(2)
        .map(PathBuf::from)
        .with_context(|| format!("{} is not in a target folder", own.display()))
}
