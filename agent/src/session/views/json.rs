//! A table as one JSON object: every figure as a plain number, its unit in the key.

use serde_json::{Map, Value, json};

use super::figures;
use crate::session::{
    table::{Row, Table},
    tally::{PERCENTILE_ERROR, Tally},
};

impl Table {
    /// The table as one object.
    ///
    /// # Errors
    /// None that is known of: what a table holds can be written.
    pub fn json(&self) -> serde_json::Result<Value> {
        let groups: Vec<_> = self
            .rows
            .iter()
            .map(|row| self.group(row))
            .collect::<Result<_, _>>()?;
        let by: Vec<_> = self.by.iter().map(|by| by.name()).collect();
        Ok(json!({
            "about": serde_json::to_value(&self.about)?,
            "elapsed_ms": self.elapsed,
            "percentile_error_percent": PERCENTILE_ERROR,
            "by": by,
            "groups": groups,
            "total": tally(&self.total),
            "lost": self.lost,
        }))
    }

    fn group(&self, row: &Row) -> serde_json::Result<Map<String, Value>> {
        let mut group = Map::new();
        for (by, value) in self.by.iter().zip(&row.key) {
            group.insert(by.name().into(), serde_json::to_value(value)?);
        }
        group.extend(tally(&row.tally));
        Ok(group)
    }
}

fn tally(tally: &Tally) -> Map<String, Value> {
    let named = figures(tally).map(|(name, value)| (name.to_owned(), json!(value)));
    named.into_iter().collect()
}
