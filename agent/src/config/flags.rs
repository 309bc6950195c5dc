//! Flags, made from the list of keys.

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, ValueHint,
    builder::{PossibleValuesParser, TypedValueParser as _},
    error::ErrorKind,
    value_parser,
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
            .value_hint(ValueHint::FilePath)
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
            } else if let Some(values) = matches.get_many::<OsString>(key.name) {
                give(key.name, texts(key.name, values)?);
            }
        }
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Values of a flag, which must be UTF-8: clap's own error would not say of which it is not.
fn texts<'a>(flag: &str, values: impl Iterator<Item = &'a OsString>) -> Result<Vec<String>, Error> {
    let text = |value: &OsString| value.to_str().map(Into::into);
    let texts: Option<_> = values.map(text).collect();
    texts.ok_or_else(|| Error::raw(ErrorKind::InvalidUtf8, format!("--{flag}: is not UTF-8")))
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
    let any = value_parser!(OsString);
    let arg = arg(key.name)
        .value_name(key.value)
        .allow_negative_numbers(true)
        .help(format!("{}{}", key.about, default));
    vec![match key.field {
        Field::Places(_) => arg.action(ArgAction::Append).value_parser(any),
        Field::Mechanism(_) => {
            let names = PossibleValuesParser::new(MECHANISMS.map(|(name, _)| name));
            arg.value_parser(names.map(OsString::from))
        }
        Field::File(_) => arg.value_hint(ValueHint::FilePath).value_parser(any),
        _ => arg.value_parser(any),
    }]
}

/// As it is typed: without quotes.
fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), Into::into)
}
