//! The verb `config`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{Effective, RunArgs, document, keys::KEYS, resolve};
use crate::serve::web::Web;

#[derive(Args)]
pub struct ConfigArgs {
    #[arg(value_enum)]
    what: What,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Say whether it can be used
    Check,
    /// Print the value of each key, and where it came from
    Show,
    /// Print a file with every key, commented out
    Example,
    /// docs/configure.md
    #[value(hide = true)]
    Document,
}

/// Does what is asked.
///
/// # Errors
/// When the configuration cannot be used ([`super::Error`]).
pub fn config(args: &ConfigArgs) -> Result<ExitCode> {
    match args.what {
        What::Check => {
            let effective = resolve(&args.run)?;
            let web = effective.web()?;
            effective.may_serve(&effective.config.listen, web.as_ref())?;
            for words in web.iter().flat_map(Web::warnings) {
                log::warn!("{words}");
            }
            if args.json {
                println!(
                    "{:#}",
                    json!({ "usable": true, "files": files(&effective) })
                );
            } else {
                print!("{}", checked(&effective));
            }
        }
        What::Show => {
            let effective = resolve(&args.run)?;
            if args.json {
                println!("{:#}", json(&effective));
            } else {
                print!("{}", shown(&effective));
            }
        }
        What::Example => print!("{}", document::example()),
        What::Document => print!("{}", document::markdown()),
    }
    Ok(ExitCode::SUCCESS)
}

fn checked(effective: &Effective) -> String {
    let read: Vec<_> = files(effective);
    let read = match read[..] {
        [] => format!("no file: {} is not there", super::FILE),
        _ => format!("read {}", read.join(", ")),
    };
    format!("{read}\nthe configuration can be used\n")
}

/// Lines as of a file, with where each came from.
fn shown(effective: &Effective) -> String {
    let lines: Vec<_> = KEYS
        .iter()
        .map(|key| setting(key.name, &key.field.value(&effective.config)))
        .collect();
    let widest = lines
        .iter()
        .map(|line| line.chars().count())
        .filter(|width| *width <= 40)
        .max()
        .unwrap_or(0);
    let line = |(line, from): (&String, _)| format!("{line:widest$}  # {from}\n");
    lines.iter().zip(&effective.origins).map(line).collect()
}

/// `key = value`; a comment where there is none.
pub(super) fn setting(name: &str, value: &Value) -> String {
    match value {
        Value::Null => format!("#{name} ="),
        value => format!("{name} = {value}"),
    }
}

fn files(effective: &Effective) -> Vec<String> {
    effective
        .files
        .iter()
        .map(|file| file.to_string_lossy().into_owned())
        .collect()
}

fn json(effective: &Effective) -> Value {
    let keys = KEYS.iter().zip(&effective.origins);
    let keys: Vec<_> = keys
        .map(|(key, origin)| {
            json!({
                "key": key.name,
                "value": key.field.value(&effective.config),
                "default": key.default(),
                "from": origin.json(),
                "reloads": key.reloads,
            })
        })
        .collect();
    json!({ "daxscope": crate::VERSION, "files": files(effective), "keys": keys })
}
