//! Two sessions side by side, for programs.

use serde_json::{Map, Value, json};

use super::{Diff, Group, NAMES};
use crate::session::{
    tally::{PERCENTILE_ERROR, Tally},
    views::{csv, figures},
};

impl Diff {
    /// As one object. Each ratio is of the second session by the first; percentiles in it are within
    /// [`PERCENTILE_ERROR`] each.
    ///
    /// # Errors
    /// None that is known of: what a diff holds can be written.
    pub fn json(&self) -> serde_json::Result<Value> {
        let mut object = Map::new();
        for (name, table) in NAMES.iter().zip(&self.tables) {
            let session = json!({
                "about": serde_json::to_value(&table.about)?,
                "elapsed_ms": table.elapsed,
                "lost": table.lost,
            });
            object.insert(name.to_lowercase(), session);
        }
        let by = &self.tables[0].by;
        let differences = self.differences.iter().map(|difference| {
            let [a, b] = &difference.was;
            json!({ "what": difference.what, "a": a, "b": b })
        });
        let mut groups = vec![];
        for group in &self.groups {
            let mut object = Map::new();
            for (by, value) in by.iter().zip(&group.key) {
                object.insert(by.name().into(), serde_json::to_value(value)?);
            }
            object.extend(sides(group));
            groups.push(object);
        }
        let by: Vec<_> = by.iter().map(|by| by.name()).collect();
        object.insert("by".into(), json!(by));
        object.insert("percentile_error_percent".into(), json!(PERCENTILE_ERROR));
        object.insert("differences".into(), differences.collect());
        object.insert("groups".into(), json!(groups));
        object.insert("total".into(), json!(sides(&self.total())));
        Ok(Value::Object(object))
    }

    /// As RFC 4180 says: of each figure what it was in both, and the ratio.
    #[must_use]
    pub fn csv(&self) -> String {
        let by = self.tables[0].by.iter().map(|by| by.name().to_owned());
        let names = figures(&Tally::default()).into_iter();
        let names =
            names.flat_map(|(name, _)| ["a", "b", "ratio"].map(|of| format!("{name}_{of}")));
        let mut text = csv::line(by.chain(names));
        for group in &self.groups {
            let ratios = group.compared().into_iter();
            let values = ratios.flat_map(|figure| {
                let [a, b] = figure.was;
                let number = |n: Option<u64>| n.map_or(String::new(), |n| n.to_string());
                let ratio = figure
                    .ratio
                    .map_or(String::new(), |ratio| ratio.to_string());
                [number(a), number(b), ratio]
            });
            text.push_str(&csv::line(group.key.iter().map(csv::field).chain(values)));
        }
        text
    }
}

/// What a group was in each session, `null` where it was not, and the ratios.
fn sides(group: &Group) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, figures) in NAMES.iter().zip(group.figures()) {
        let figures = figures.map(|figures| -> Map<_, _> {
            let named = figures.map(|(name, value)| (name.to_owned(), json!(value)));
            named.into_iter().collect()
        });
        object.insert(name.to_lowercase(), json!(figures));
    }
    let ratios = group.compared().into_iter();
    let ratios: Map<_, _> = ratios
        .map(|figure| (figure.name.to_owned(), json!(figure.ratio)))
        .collect();
    object.insert("ratio".into(), json!(ratios));
    object
}
