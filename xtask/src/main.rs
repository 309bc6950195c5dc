//! The project's own commands: `cargo xtask --help`.

mod accel;
mod apt;
mod cache;
mod command;
mod cpio;
mod guest;
mod initramfs;
mod kernels;
mod vm;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Builds, proves and shows daxscope on real kernels in guests with emulated persistent memory.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Vm(vm::Args),
    /// What runs inside a guest
    #[command(hide = true)]
    Guest(guest::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Vm(args) => vm::main(args),
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
    own.ancestors().nth(2).map(PathBuf::from).with_context(|| format!("{} is not in a target folder", own.display()))
}
