//! Lines of a file that somebody may have cut, changed or made up.

use std::{
    io::{BufRead, BufReader, Read as _},
    mem,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use flate2::bufread::GzDecoder;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Header, Line, VERSION};
use crate::text;

/// How a gzip file begins (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The longest line, in bytes: of a key with two deep stacks there are some ten thousand.
const LINE: u64 = 4 << 20;
/// Lines of JSON inside of gzip.
pub struct Lines<R> {
    text: BufReader<GzDecoder<R>>,
    number: usize,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Reads the first line.
    pub fn new(mut file: R) -> Result<Self> {
        let begin = file.fill_buf()?;
        ensure!(!begin.is_empty(), "it is empty");
        let shown = begin.len().min(GZIP.len());
        ensure!(
            begin[..shown] == GZIP[..shown],
            "it is not gzip, so daxscope did not write it"
        );
        let mut lines = Self {
            text: BufReader::new(GzDecoder::new(file)),
            number: 0,
            line: vec![],
        };
        lines.fill()?;
        let header: Header = serde_json::from_slice(&lines.line)
            .map_err(|_| anyhow!("its first line does not say daxscope_recording"))?;
        let version = header.daxscope_recording;
        ensure!(
            version <= VERSION,
            "its format is {version}, of a newer daxscope; this one ({}) reads up to {VERSION}",
            crate::VERSION
        );
        ensure!(version > 0, "there is no format 0");
        Ok(lines)
    }

    /// Of the last line, from 1.
    pub const fn number(&self) -> usize {
        self.number
    }

    /// How many the last line has.
    pub const fn bytes(&self) -> usize {
        self.line.len()
    }

    pub fn next(&mut self) -> Result<Line<'static>> {
        self.fill()?;
        plain(&self.line)
            // What is quoted is the file's.
            .map_err(|error| {
                anyhow!(
                    "line {}: {}",
                    self.number,
                    text::escaped(&error.to_string())
                )
            })
    }

    fn fill(&mut self) -> Result<()> {
        self.line.clear();
        self.number += 1;
        let number = self.number;
        let mut bounded = self.text.by_ref().take(LINE);
        bounded.read_until(b'\n', &mut self.line).with_context(|| {
            format!("line {number} cannot be unpacked: it is cut short or damaged")
        })?;
        if self.line.pop() != Some(b'\n') {
            ensure!(
                self.line.len() as u64 + 1 < LINE,
                "line {number} is longer than {LINE} bytes"
            );
            bail!("it ends in line {number}, without an end line: it is cut short");
        }
        Ok(())
    }

    /// The text ends here, and the file does. Only at its end gzip compares its sum.
    pub fn nothing_more(mut self) -> Result<()> {
        let rest = self.text.fill_buf().context("it is cut short or damaged")?;
        ensure!(rest.is_empty(), "there is more behind its end line");
        let mut file = self.text.into_inner().into_inner();
        ensure!(file.fill_buf()?.is_empty(), "there is more behind its end");
        Ok(())
    }
}

/// What a line says, with nothing in its texts that could leave a line of a terminal. What daxscope writes has none.
fn plain<T: DeserializeOwned>(line: &[u8]) -> serde_json::Result<T> {
    let harmless = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\';
    if line.iter().all(harmless) {
        return serde_json::from_slice(line);
    }
    let mut value: Value = serde_json::from_slice(line)?;
    escape(&mut value);
    serde_json::from_value(value)
}

fn escape(value: &mut Value) {
    match value {
        Value::String(string) => *string = text::escaped(string),
        Value::Array(values) => values.iter_mut().for_each(escape),
        Value::Object(members) => {
            for (name, mut value) in mem::take(members) {
                escape(&mut value);
                members.insert(text::escaped(&name), value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_file_cannot_leave_their_line() {
        let line = br#"["a\u001b[2J", {"\n": "\\x41 \u202e"}]"#;
        let value: Value = plain(line).expect("JSON");
        let expected = br#"["a\\x1b[2J", {"\\x0a": "\\x41 \\xe2\\x80\\xae"}]"#;
        let expected: Value = serde_json::from_slice(expected).expect("JSON");
        assert_eq!(value, expected);
    }
}
