//! A mapping whose keys are known: each is taken as what it must be, or refused by its name and line.

use anyhow::{Context as _, Result, bail};

use super::yaml::{Node, Value, Word};
use crate::near::nearest;

/// The keys of one mapping that have not been taken yet.
pub struct Section {
    /// Of the mapping, for messages; empty for that of the whole file.
    name: &'static str,
    keys: Vec<(Word, Node)>,
}

impl Section {
    /// A mapping with no other keys than the known ones; one that is left empty has none.
    ///
    /// # Errors
    /// For anything that is no mapping, and for the first unknown key, with the nearest that is known.
    pub fn open(name: &'static str, node: Node, known: &[&str]) -> Result<Self> {
        let keys = match node.value {
            Value::Nothing => vec![],
            Value::Keys(keys) => keys,
            _ => bail!("line {}: {}must be a mapping of keys", node.line, of(name)),
        };
        let section = Self { name, keys };
        if let Some((key, _)) = section
            .keys
            .iter()
            .find(|(key, _)| !known.contains(&&*key.text))
        {
            let (line, text) = (key.line, section.path(&key.text));
            bail!(
                "line {line}: {text}: unknown key; {}",
                hint(&key.text, known)
            );
        }
        Ok(section)
    }

    /// Everything that is there, with its key.
    pub fn all(self) -> Vec<(Word, Node)> {
        self.keys
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// A value, if its key is there and says something.
    pub fn take(&mut self, key: &str) -> Option<Node> {
        let index = self.keys.iter().position(|(word, _)| word.text == key)?;
        let node = self.keys.swap_remove(index).1;
        (node.value != Value::Nothing).then_some(node)
    }

    /// A value that is one word, with its line.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn word(&mut self, key: &str) -> Result<Option<Word>> {
        let Some(node) = self.take(key) else {
            return Ok(None);
        };
        let line = node.line;
        match node.value {
            Value::Word(text, _) => Ok(Some(Word { line, text })),
            _ => bail!("line {line}: {}: must be one value", self.path(key)),
        }
    }

    /// A value that is made of one word.
    ///
    /// # Errors
    /// What `make` says against it.
    pub fn made<T>(
        &mut self,
        key: &str,
        make: impl FnOnce(&str) -> Result<T>,
    ) -> Result<Option<T>> {
        let Some(word) = self.word(key)? else {
            return Ok(None);
        };
        let value = make(&word.text).with_context(|| self.at(&word, key))?;
        Ok(Some(value))
    }

    /// A list of words, each made into something; empty if the key is not there.
    ///
    /// # Errors
    /// When it is no list of words, and what `make` says against one.
    pub fn list<T>(
        &mut self,
        key: &str,
        mut make: impl FnMut(&str) -> Result<T>,
    ) -> Result<Vec<T>> {
        let Some(node) = self.take(key) else {
            return Ok(vec![]);
        };
        let Value::List(items) = node.value else {
            bail!("line {}: {}: must be a list", node.line, self.path(key));
        };
        let one = |Node { line, value }: Node| match value {
            Value::Word(text, _) => {
                let value = make(&text);
                value.with_context(|| format!("line {line}: {}", self.path(key)))
            }
            _ => bail!("line {line}: {}: must be a list of words", self.path(key)),
        };
        items.into_iter().map(one).collect()
    }

    /// Where a value stands, for messages.
    #[must_use]
    pub fn at(&self, word: &Word, key: &str) -> String {
        format!("line {}: {}", word.line, self.path(key))
    }

    fn path(&self, key: &str) -> String {
        // A key is somebody's text: it may hold anything.
        let key = key.escape_debug();
        match self.name {
            "" => key.to_string(),
            name => format!("{name}.{key}"),
        }
    }
}

fn of(name: &str) -> String {
    match name {
        "" => "the file ".into(),
        name => format!("{name}: "),
    }
}

/// As YAML 1.1 and 1.2 both read it.
///
/// # Errors
/// When it is neither `true` nor `false`.
pub fn truth(text: &str) -> Result<bool> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => bail!("must be true or false"),
    }
}

/// Which of the known words was meant, or which there are.
#[must_use]
pub fn hint(text: &str, known: &[&str]) -> String {
    match nearest(text, known.iter().copied()) {
        Some(word) => format!("did you mean {word}?"),
        None => format!("there are {}", known.join(", ")),
    }
}
