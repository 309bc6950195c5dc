//! A table for spreadsheets and data frames, as RFC 4180 says: a line of names, then a line for each group.

use super::{figures, folded};
use crate::session::{by::Value, table::Table, tally::Tally};

/// Lines end in CR LF. A figure that there is not is empty; a stack is one field, as in [`folded`].
#[must_use]
pub fn csv(table: &Table) -> String {
    let names = figures(&Tally::default()).map(|(name, _)| name.to_owned());
    let by = table.by.iter().map(|by| by.name().to_owned());
    let mut text = line(by.chain(names));
    for row in &table.rows {
        let values =
            figures(&row.tally).map(|(_, value)| value.map_or(String::new(), |n| n.to_string()));
        text.push_str(&line(row.key.iter().map(field).chain(values)));
    }
    text
}

pub(in crate::session) fn field(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Stack(frames) => folded::stack(frames),
    }
}

pub(in crate::session) fn line(fields: impl Iterator<Item = String>) -> String {
    let quoted = |field: String| {
        if field.contains([',', '"', '\r', '\n']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field
        }
    };
    let fields: Vec<_> = fields.map(quoted).collect();
    fields.join(",") + "\r\n"
}
