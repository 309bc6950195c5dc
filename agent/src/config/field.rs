//! What a key can be set to, and how that is written.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use serde_json::Value;

use super::{Config, Listen, raw::Raw};
use crate::{
    load::{Choice, Mechanism},
    session::filters,
};

/// A part of [`Config`], by its shape.
pub enum Field {
    Switch(fn(&mut Config) -> &mut bool),
    Count(fn(&mut Config) -> &mut usize, RangeInclusive<usize>),
    Time(fn(&mut Config) -> &mut Duration, RangeInclusive<Duration>),
    Mechanism(fn(&mut Config) -> &mut Choice),
    File(fn(&mut Config) -> &mut Option<PathBuf>),
    Mode(fn(&mut Config) -> &mut u32),
    Places(fn(&mut Config) -> &mut Vec<Listen>),
}

pub const MECHANISMS: [(&str, Choice); 3] = [
    ("auto", Choice::Auto),
    ("fentry", Choice::Only(Mechanism::Fentry)),
    ("kprobe", Choice::Only(Mechanism::Kprobe)),
];

impl Field {
    /// Sets it.
    ///
    /// # Errors
    /// In words that go behind the name of the key.
    pub fn set(&self, config: &mut Config, raw: &Raw) -> Result<(), String> {
        match self {
            Self::Switch(of) => *of(config) = raw.switch()?,
            Self::Count(of, range) => *of(config) = count(raw, range)?,
            Self::Time(of, range) => *of(config) = time(raw.text()?, range)?,
            Self::Mechanism(of) => *of(config) = mechanism(raw.text()?)?,
            Self::File(of) => *of(config) = Some(file(raw)?),
            Self::Mode(of) => *of(config) = mode(raw)?,
            Self::Places(of) => *of(config) = places(raw)?,
        }
        Ok(())
    }

    /// Its value as JSON, which is also how a file has it; null if there is none.
    #[must_use]
    pub fn value(&self, config: &Config) -> Value {
        let config = &mut config.clone();
        match self {
            Self::Switch(of) => (*of(config)).into(),
            Self::Count(of, _) => (*of(config)).into(),
            Self::Time(of, _) => seconds(*of(config)).into(),
            Self::Mechanism(of) => {
                let choice = *of(config);
                let named = MECHANISMS.iter().find(|(_, named)| *named == choice);
                named.map(|(name, _)| *name).into()
            }
            Self::File(of) => of(config)
                .as_ref()
                .map(|file| file.to_string_lossy().into_owned())
                .into(),
            Self::Mode(of) => format!("{:o}", of(config)).into(),
            Self::Places(of) => of(config).iter().map(ToString::to_string).collect(),
        }
    }

    /// Takes the value of another.
    pub(super) fn take(&self, config: &mut Config, from: &Config) {
        let from = &mut from.clone();
        match self {
            Self::Switch(of) => *of(config) = *of(from),
            Self::Count(of, _) => *of(config) = *of(from),
            Self::Time(of, _) => *of(config) = *of(from),
            Self::Mechanism(of) => *of(config) = *of(from),
            Self::File(of) => *of(config) = of(from).take(),
            Self::Mode(of) => *of(config) = *of(from),
            Self::Places(of) => of(config).clone_from(of(from)),
        }
    }

    /// What may be written, for people.
    #[must_use]
    pub fn allowed(&self) -> String {
        match self {
            Self::Switch(_) => "`true` or `false`".into(),
            Self::Count(_, range) => format!("a number from {} to {}", range.start(), range.end()),
            Self::Time(_, range) => {
                let [least, most] = [range.start(), range.end()].map(|end| seconds(*end));
                format!("a time from `\"{least}\"` to `\"{most}\"`")
            }
            Self::Mechanism(_) => {
                let names: Vec<_> = MECHANISMS.map(|(name, _)| format!("`\"{name}\"`")).into();
                names.join(", ")
            }
            Self::File(_) => "a file; in a file, from its folder on".into(),
            Self::Mode(_) => "permissions in octal, `0o660` or `\"660\"`".into(),
            Self::Places(_) => {
                "a list of addresses with ports, and of `unix:` with an absolute path".into()
            }
        }
    }
}

fn count(raw: &Raw, range: &RangeInclusive<usize>) -> Result<usize, String> {
    let (digits, radix) = raw.number()?;
    let number = i128::from_str_radix(digits, radix)
        .map_err(|_| format!("{digits:?} is not a number, as 128 is"))?;
    let number = usize::try_from(number)
        .ok()
        .filter(|number| range.contains(number));
    number.ok_or_else(|| format!("{digits} is not from {} to {}", range.start(), range.end()))
}

fn time(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    if text.ends_with(|last: char| last.is_ascii_digit()) {
        return Err(format!("{text:?} has no unit: write \"{text}s\""));
    }
    let time = filters::duration(text)?;
    if range.contains(&time) {
        return Ok(time);
    }
    let [least, most] = [range.start(), range.end()].map(|end| seconds(*end));
    Err(format!("{text:?} is not from {least} to {most}"))
}

fn mechanism(text: &str) -> Result<Choice, String> {
    let named = MECHANISMS.iter().find(|(name, _)| *name == text);
    named
        .map(|(_, choice)| *choice)
        .ok_or_else(|| format!("{text:?} is not auto, fentry or kprobe"))
}

fn file(raw: &Raw) -> Result<PathBuf, String> {
    let text = raw.text()?;
    if text.is_empty() {
        return Err("names no file: leave it out, or write a path".into());
    }
    if text.contains('\0') {
        return Err(format!("{text:?} cannot be a path: there is a NUL in it"));
    }
    Ok(raw
        .folder()
        .map_or_else(|| text.into(), |folder| folder.join(text)))
}

fn mode(raw: &Raw) -> Result<u32, String> {
    let text = raw.octal()?;
    u32::from_str_radix(text.trim_start_matches("0o"), 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| format!("{text:?} is not from 0 to 777 in octal, as 660 is"))
}

fn places(raw: &Raw) -> Result<Vec<Listen>, String> {
    let mut places: Vec<Listen> = vec![];
    for text in raw.texts()? {
        let place = text.parse()?;
        // Port 0 is another one each time.
        let any = matches!(place, Listen::Tcp(address) if address.port() == 0);
        if !any && places.contains(&place) {
            return Err(format!("{text:?} stands there twice"));
        }
        places.push(place);
    }
    if places.is_empty() {
        return Err("is empty: name an address, or leave it out for 127.0.0.1:9954".into());
    }
    Ok(places)
}

/// `5s`, `500ms`: whole, and as it can be read again.
fn seconds(time: Duration) -> String {
    if time.subsec_nanos() == 0 {
        format!("{}s", time.as_secs())
    } else {
        format!("{}ns", time.as_nanos())
            .replace("000000ns", "ms")
            .replace("000ns", "us")
    }
}
