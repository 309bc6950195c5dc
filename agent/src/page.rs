//! The page for people at `/`.

mod history;

use std::time::Instant;

pub use self::history::History;
use crate::{
    load::{Mechanism, Verdict},
    serve::source::Readiness,
    snapshot::Snapshot,
};

/// What there is to be shown.
pub struct Shown<'a> {
    /// This moment.
    pub snapshot: &'a Snapshot,
    pub at: Instant,
    pub verdicts: &'a [Verdict],
    pub readiness: &'a Readiness,
    /// The moments before it.
    pub history: &'a History,
}

/// Something that the page is made of.
pub struct Asset {
    pub media: &'static str,
    pub body: String,
    /// For how many seconds a browser may keep it; 0: not at all.
    pub keep: u32,
}

/// What is at a path below `/`; `None` where nothing is.
#[must_use]
pub fn asset(path: &str, shown: &Shown) -> Option<Asset> {
    (path == "/").then(|| Asset {
        media: "text/html; charset=utf-8",
        body: page(shown),
        keep: 0,
    })
}

/// What is attached, and where the numbers are.
fn page(shown: &Shown) -> String {
    let mut rows = String::new();
    for verdict in shown.verdicts {
        let by = verdict.mechanism.map_or("not attached", Mechanism::name);
        rows += "<tr>";
        for cell in [
            verdict.family,
            verdict.point,
            verdict.symbol,
            by,
            &verdict.reason,
        ] {
            rows += "<td>";
            rows += &escape(cell);
        }
        rows += "\n";
    }
    format!(
        "<!doctype html>\n<html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\"><title>daxscope</title>\n\
         <h1>daxscope {}</h1>\n<p><a href=/metrics>/metrics</a> for Prometheus, \
         <a href=/healthz>/healthz</a> for whoever asks if it lives.\n\
         <table><tr><th>family<th>probe<th>function<th>by<th>reason</tr>\n{rows}</table>\n",
        crate::VERSION
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
