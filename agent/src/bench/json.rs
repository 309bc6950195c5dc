//! A bench as one JSON object: every figure as a plain number, its unit in the key.

use serde_json::{Value, json};

use super::{
    Report, Row, Side,
    reported::{self, GEOMETRIES},
    way::Way,
};

impl Report {
    pub(super) fn json(&self) -> Value {
        let (done, not): (Vec<_>, Vec<_>) = self.rows.iter().partition(|(_, row)| row.is_ok());
        let rows = done
            .iter()
            .filter_map(|(way, row)| Some(self.object(*way, row.as_ref().ok()?)));
        let not_done = not.iter().filter_map(|(way, row)| {
            Some(json!({ "by": way.name(), "reason": row.as_ref().err()?.to_string() }))
        });
        let reported = reported::ALL.iter().map(|reported| {
            json!({
                "entry": reported.entry,
                "bytes": reported.mebibytes << 20,
                "altmap": reported.altmap,
                "geometries": GEOMETRIES,
                "pin_ms": reported.pin_ms,
                "unpin_ms": reported.unpin_ms,
                "source": reported.source,
            })
        });
        json!({
            "device": self.device.device,
            "namespace": self.device.namespace,
            "kernel": self.kernel,
            "align": self.device.align,
            "altmap": self.altmap(),
            "bytes": self.bytes,
            "rows": rows.collect::<Vec<_>>(),
            "not_done": not_done.collect::<Vec<_>>(),
            "reported": reported.collect::<Vec<_>>(),
        })
    }

    fn object(&self, way: Way, row: &Row) -> Value {
        json!({
            "by": way.name(),
            "geometry": row.geometry,
            "pin": self.side(&row.taken),
            "unpin": row.given.as_ref().map(|side| self.side(side)),
            "lost": row.lost,
        })
    }

    fn side(&self, side: &Side) -> Value {
        let ms = side.ns_for(self.bytes, self.page_bytes).map(|ns| ns / 1e6);
        json!({
            "entry": side.entry,
            "how": side.how,
            "calls": side.calls,
            "pages": side.pages,
            "ns": side.ns,
            "ms_for_all": ms,
            "gb_per_second": side.gb_per_second(self.page_bytes),
        })
    }
}
