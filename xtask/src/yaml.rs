//! YAML files of deploy/, as values.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::Value;

/// The one document of a file.
pub fn read(file: &Path) -> Result<Value> {
    let of = || file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(of)?;
    parse(&text).with_context(of)
}

pub fn parse(text: &str) -> Result<Value> {
    let documents = Yaml::load_from_str(text)?;
    ensure!(documents.len() == 1, "{} documents", documents.len());
    value(&documents[0])
}

fn value(node: &Yaml) -> Result<Value> {
    Ok(match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(truth)) => (*truth).into(),
        Yaml::Value(Scalar::Integer(number)) => (*number).into(),
        Yaml::Value(Scalar::FloatingPoint(number)) => number.into_inner().into(),
        Yaml::Value(Scalar::String(text)) => text.as_ref().into(),
        Yaml::Sequence(nodes) => nodes.iter().map(value).collect::<Result<_>>()?,
        Yaml::Mapping(nodes) => {
            let entry = |(key, node): (&Yaml, &Yaml)| {
                let key = key.as_str().context("a key that is no word")?;
                Ok((key.to_owned(), value(node)?))
            };
            Value::Object(nodes.iter().map(entry).collect::<Result<_>>()?)
        }
        other => bail!("no plain value: {other:?}"),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn values_have_their_kinds() {
        let value = super::parse("a: 1\nb: \"1\"\nc: [x, true]\nd: {e: 0.5, f: }\n");
        let expected =
            serde_json::json!({"a": 1, "b": "1", "c": ["x", true], "d": {"e": 0.5, "f": null}});
        assert_eq!(value.expect("YAML"), expected);
    }
}
