//! Flags, made from the list of keys.

use std::path::PathBuf;

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches,
    builder::PossibleValuesParser, value_parser,
};

use serde_json::Value;

use super::{
    Config,
    field::{Field, MECHANISMS},
    keys::{KEYS, Key},
};

/// What was said on the command line.
#[derive(Clone, Debug, Default)]
pub struct RunArgs {
    /// `--config`
    pub file: Option<PathBuf>,
    /// By key, in the order of [`KEYS`]: the flag as it was written, and its values.
    pub(super) given: Vec<(usize, String, Vec<String>)>,
}

const FILE: &str = "config";

impl Args for RunArgs {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(FILE)
            .long(FILE)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help(format!(
                "Read FILE and FILE.d/*.toml [default: {}]",
                super::FILE
            ));
        command.arg(file).args(KEYS.iter().flat_map(flags))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for RunArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut args = Self {
            file: matches.get_one(FILE).cloned(),
            given: vec![],
        };
        for (index, key) in KEYS.iter().enumerate() {
            let mut give =
                |flag: &str, values| args.given.push((index, format!("--{flag}"), values));
            if let Field::Switch(_) = key.field {
                for (flag, value) in [(key.name, "true"), (key.no, "false")] {
                    if matches.get_flag(flag) {
                        give(flag, vec![value.to_owned()]);
                    }
                }
            } else if let Some(values) = matches.get_many::<String>(key.name) {
                give(key.name, values.cloned().collect());
            }
        }
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn flags(key: &'static Key) -> Vec<Arg> {
    let arg = |name| Arg::new(name).long(name);
    if let Field::Switch(of) = key.field {
        // Of each pair, that which changes something is shown.
        let on = *of(&mut Config::default());
        let pair = [(key.name, key.no, on), (key.no, key.name, !on)];
        return pair
            .map(|(name, other, hide)| {
                arg(name)
                    .action(ArgAction::SetTrue)
                    .conflicts_with(other)
                    .help(key.about)
                    .hide(hide)
            })
            .into();
    }
    let default = match key.default() {
        Value::Null => String::new(),
        Value::Array(all) => format!(" [default: {}]", all.iter().map(bare).collect::<String>()),
        one => format!(" [default: {}]", bare(&one)),
    };
    let arg = arg(key.name)
        .value_name(key.value)
        .allow_negative_numbers(true)
        .help(format!("{}{}", key.about, default));
    vec![match key.field {
        Field::Places(_) => arg.action(ArgAction::Append),
        Field::Mechanism(_) => {
            arg.value_parser(PossibleValuesParser::new(MECHANISMS.map(|(name, _)| name)))
        }
        _ => arg,
    }]
}

/// As it is typed: without quotes.
fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), Into::into)
}
