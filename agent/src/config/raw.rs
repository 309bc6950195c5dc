//! What somebody wrote behind a key, before it is known whether it can be used.

use std::path::Path;

use toml::de::DeValue;

/// A value as it was given.
pub enum Raw<'a> {
    /// In a file, which knows types, and the file's folder.
    Toml(&'a DeValue<'a>, &'a Path),
    /// By flags or in the environment, where all is text.
    Words(&'a [String]),
}

impl<'a> Raw<'a> {
    pub(super) fn switch(&self) -> Result<bool, String> {
        match self {
            Self::Toml(value, _) => value.as_bool().ok_or_else(|| self.wrong("true or false")),
            Self::Words(_) => match self.text()? {
                "true" => Ok(true),
                "false" => Ok(false),
                other => Err(format!("{other:?} is not true or false")),
            },
        }
    }

    /// Digits with their sign, and what they are digits of.
    pub(super) fn number(&self) -> Result<(&'a str, u32), String> {
        match self {
            Self::Toml(value, _) => value
                .as_integer()
                .map(|number| (number.as_str(), number.radix()))
                .ok_or_else(|| self.wrong("a number, as 128 is, without quotes")),
            Self::Words(_) => Ok((self.text()?, 10)),
        }
    }

    /// Digits that are meant as octal, however they were written; not a decimal number, which 660 would be.
    pub(super) fn octal(&self) -> Result<&'a str, String> {
        match self {
            Self::Toml(value, _) => match value.as_integer() {
                Some(number) if number.radix() == 8 => Ok(number.as_str()),
                Some(number) => Err(format!("{number} is not octal: write 0o{number}")),
                None => self.text(),
            },
            Self::Words(_) => self.text(),
        }
    }

    pub(super) fn text(&self) -> Result<&'a str, String> {
        match self {
            Self::Toml(value, _) => value.as_str().ok_or_else(|| self.wrong("text in quotes")),
            Self::Words([word]) => Ok(word),
            Self::Words(words) => Err(format!("is given {} times, must be once", words.len())),
        }
    }

    pub(super) fn texts(&self) -> Result<Vec<&'a str>, String> {
        let wanted = "a list of texts, [\"127.0.0.1:9954\"]";
        match self {
            Self::Toml(value, _) => {
                let all = value.as_array().ok_or_else(|| self.wrong(wanted))?;
                let texts = all.iter().map(|one| one.get_ref().as_str());
                let texts: Option<Vec<_>> = texts.collect();
                texts
                    .ok_or_else(|| format!("is a list with something else in it, must be {wanted}"))
            }
            Self::Words(words) => Ok(words.iter().map(String::as_str).collect()),
        }
    }

    /// Where relative paths begin; `None` where the process stands.
    pub(super) fn folder(&self) -> Option<&'a Path> {
        match self {
            Self::Toml(_, folder) => Some(folder),
            Self::Words(_) => None,
        }
    }

    fn wrong(&self, wanted: &str) -> String {
        let kind = match self {
            Self::Toml(value, _) => value.type_str(),
            Self::Words(_) => "text",
        };
        let article = if kind.starts_with(['a', 'i']) {
            "an"
        } else {
            "a"
        };
        format!("is {article} {kind}, must be {wanted}")
    }
}
