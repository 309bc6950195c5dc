//! YAML as the web configuration needs it: mappings, lists and words, each with its line. Aliases, tags, doubled keys and a
//! second document are refused: no web configuration needs them, and other readers differ in what they make of them.

use anyhow::{Result, bail, ensure};
use saphyr_parser::{Event, Input, Parser, ScalarStyle, Span};

/// Deeper than any key of a web configuration.
const DEPTH: usize = 8;

/// A value and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub struct Node {
    /// From 1.
    pub line: usize,
    pub value: Value,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing was written.
    Nothing,
    /// A word as it was written, and whether it was in quotes.
    Word(String, bool),
    List(Vec<Node>),
    /// In the order of the file; no key twice.
    Keys(Vec<(Word, Node)>),
}

/// A key of a mapping.
#[derive(Debug, PartialEq, Eq)]
pub struct Word {
    pub line: usize,
    pub text: String,
}

/// The tree of a text; nothing if the text holds nothing.
///
/// # Errors
/// Where it is not YAML of the kind above: `line N: why`.
pub fn parse(text: &str) -> Result<Node> {
    let mut events = Parser::new_from_str(text);
    let mut tree = Node {
        line: 1,
        value: Value::Nothing,
    };
    let mut documents = 0;
    loop {
        let (event, span) = next(&mut events)?;
        match event {
            Event::StreamEnd => return Ok(tree),
            Event::DocumentStart(_) => {
                documents += 1;
                ensure!(
                    documents == 1,
                    "line {}: a second document",
                    span.start.line()
                );
                let first = next(&mut events)?;
                tree = node(&mut events, first, DEPTH)?;
            }
            _ => {}
        }
    }
}

fn next<'a>(events: &mut Parser<'a, impl Input>) -> Result<(Event<'a>, Span)> {
    match events.next_event() {
        Some(Ok(event)) => Ok(event),
        Some(Err(error)) => bail!("line {}: {}", error.marker().line(), error.info()),
        None => bail!("the file ends too early"),
    }
}

fn node<'a>(
    events: &mut Parser<'a, impl Input>,
    (event, span): (Event<'a>, Span),
    depth: usize,
) -> Result<Node> {
    let line = span.start.line();
    ensure!(depth > 0, "line {line}: nested too deep");
    let value = match event {
        Event::Alias(_) => bail!("line {line}: aliases are not read; write the value out"),
        Event::Scalar(_, _, _, Some(tag))
        | Event::SequenceStart(_, Some(tag))
        | Event::MappingStart(_, Some(tag)) => bail!("line {line}: the tag {tag} is not read"),
        Event::Scalar(text, ScalarStyle::Plain, ..) if ["", "~", "null"].contains(&&*text) => {
            Value::Nothing
        }
        Event::Scalar(text, style, ..) => {
            Value::Word(text.into_owned(), style != ScalarStyle::Plain)
        }
        Event::SequenceStart(..) => {
            let mut items = vec![];
            loop {
                match next(events)? {
                    (Event::SequenceEnd, _) => break Value::List(items),
                    item => items.push(node(events, item, depth - 1)?),
                }
            }
        }
        Event::MappingStart(..) => Value::Keys(mapping(events, depth)?),
        other => bail!("line {line}: unexpected {other:?}"),
    };
    Ok(Node { line, value })
}

fn mapping(events: &mut Parser<'_, impl Input>, depth: usize) -> Result<Vec<(Word, Node)>> {
    let mut keys: Vec<(Word, Node)> = vec![];
    loop {
        let key = match next(events)? {
            (Event::MappingEnd, _) => return Ok(keys),
            first => node(events, first, depth - 1)?,
        };
        let line = key.line;
        let Value::Word(text, _) = key.value else {
            bail!("line {line}: a key that is not a word");
        };
        if let Some((before, _)) = keys.iter().find(|(before, _)| before.text == text) {
            bail!("line {line}: {text} was given in line {}", before.line);
        }
        let first = next(events)?;
        keys.push((Word { line, text }, node(events, first, depth - 1)?));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_file() {
        let text = "# a comment\na:\n  b: c\n  d: [x, 'y']\ne: {f: ~}\n";
        let Value::Keys(keys) = parse(text).expect("parses").value else {
            panic!("a mapping");
        };
        let (a, under) = &keys[0];
        assert_eq!((a.text.as_str(), a.line), ("a", 2));
        let Value::Keys(under) = &under.value else {
            panic!("a mapping");
        };
        assert_eq!(under[0].1.line, 3);
        assert_eq!(under[0].1.value, Value::Word("c".into(), false));
        let Value::List(list) = &under[1].1.value else {
            panic!("a list");
        };
        assert_eq!(list[1].value, Value::Word("y".into(), true));
        assert_eq!(keys[1].0.line, 5);
    }

    #[test]
    fn nothing_is_nothing() {
        for text in ["", "\n", "# only a comment\n", "---\n", "~\n"] {
            assert_eq!(parse(text).expect(text).value, Value::Nothing, "{text:?}");
        }
    }

    #[test]
    fn what_readers_differ_in_is_refused_with_its_line() {
        for (text, words) in [
            ("a: &x 1\nb: *x\n", "line 2: aliases"),
            ("a: 1\na: 2\n", "line 2: a was given in line 1"),
            ("a: !!str 1\n", "line 1: the tag"),
            ("a: 1\n---\nb: 2\n", "line 2: a second document"),
            ("a: [1\nb: 2\n", "line "),
            ("a:\n\t- 1\n", "line 2"),
            ("? [a]\n: b\n", "line 1: a key that is not a word"),
            ("[[[[[[[[[[1]]]]]]]]]]", "line 1: nested too deep"),
        ] {
            let said = parse(text).expect_err(text).to_string();
            assert!(said.contains(words), "{text:?}: {said}");
        }
    }
}
