//! How far all this is to be trusted: probes, losses, privileges, and what looking costs.

use super::{
    Shown,
    figures::{self, Row},
    html::{
        Cells::{Numbers, Words},
        Column, Html, Table,
    },
    words,
};
use crate::{
    load::{Mechanism, Verdict},
    text,
};

const PROBES: [Column; 5] = [
    ("Function", Words),
    ("Family", Words),
    ("Attached by", Words),
    ("Required", Words),
    ("Reason", Words),
];
const TABLES: [Column; 3] = [
    ("Table", Words),
    ("Entries", Numbers),
    ("Room for", Numbers),
];

pub fn html(shown: &Shown) -> Html {
    Html::new()
        .then(&probes(shown.verdicts))
        .then(&losses(shown))
        .then(&privileges(shown))
}

fn probes(verdicts: &[Verdict]) -> Html {
    let missing: Vec<_> = verdicts
        .iter()
        .filter(|verdict| verdict.required && verdict.mechanism.is_none())
        .collect();
    let attached = verdicts
        .iter()
        .filter(|verdict| verdict.mechanism.is_some())
        .count();
    let table = |caption, verdicts: &[&Verdict]| {
        Table {
            caption,
            columns: &PROBES,
            rows: verdicts.iter().map(|verdict| probe(verdict)).collect(),
            total: None,
        }
        .html()
    };
    let html = Html::new().raw("<section aria-labelledby=probes>\n<h2 id=probes>Probes</h2>\n");
    let html = if missing.is_empty() {
        html
    } else {
        html.then(&table("Required, and not attached", &missing))
    };
    let rest: Vec<_> = verdicts.iter().collect();
    html.raw("<details id=verdicts><summary>")
        .text(attached)
        .raw(" of ")
        .text(verdicts.len())
        .raw(" points are attached</summary>\n")
        .then(&table("Every point, and what became of it", &rest))
        .raw("</details>\n</section>\n")
}

fn probe(verdict: &Verdict) -> Vec<Html> {
    let by = match (verdict.mechanism, verdict.required) {
        (Some(mechanism), _) => Html::from(Mechanism::name(mechanism)),
        (None, true) => Html::new().raw("<strong class=bad>not attached</strong>"),
        (None, false) => words::quiet(true, "not attached".into()),
    };
    let reason = Html::from(&verdict.reason);
    let reason = match verdict.remedy {
        Some(remedy) => reason.raw(". <em>").text(remedy).raw("</em>"),
        None => reason,
    };
    vec![
        Html::new()
            .raw("<code>")
            .text(verdict.symbol)
            .raw("</code>"),
        Html::from(verdict.family),
        by,
        Html::from(if verdict.required { "yes" } else { "no" }),
        reason,
    ]
}

fn losses(shown: &Shown) -> Html {
    let lost = &shown.readiness.losses;
    let html = Html::new().raw("<section aria-labelledby=losses>\n<h2 id=losses>Losses</h2>\n");
    let html = if lost.is_empty() {
        html.raw("<p>Nothing was lost since the start.</p>\n")
    } else {
        let items: Html = lost
            .iter()
            .map(|loss| Html::new().raw("<li>").text(loss).raw("</li>\n"))
            .collect();
        html.raw("<ul class=bad>\n").then(&items).raw("</ul>\n")
    };
    let entries = figures::of(shown.snapshot, "map_entries");
    let capacity = |of: Row<'_>| {
        let of = of.label("map");
        figures::of(shown.snapshot, "map_capacity").find(|row| row.label("map") == of)
    };
    let rows: Vec<_> = entries
        .map(|row| {
            let room = capacity(row).map_or_else(|| "?".into(), |row| text::count(row.count()));
            vec![
                Html::from(row.label("map")),
                Html::from(text::count(row.count())),
                Html::from(room),
            ]
        })
        .collect();
    if rows.is_empty() {
        return html.raw("</section>\n");
    }
    let table = Table {
        caption: "How full the tables of the programs are; what does not fit is lost",
        columns: &TABLES,
        rows,
        total: None,
    };
    html.raw("<details id=tables><summary>Tables of the programs</summary>\n")
        .then(&table.html())
        .raw("</details>\n</section>\n")
}

/// What the daemon may still do, and what it takes.
fn privileges(shown: &Shown) -> Html {
    let layers: Html = shown
        .readiness
        .layers
        .iter()
        .map(|(name, state)| layer(name, state))
        .collect();
    let tested: Html = shown
        .readiness
        .self_test
        .iter()
        .map(|state| layer("self-test", state))
        .collect();
    let html = Html::new()
        .raw("<section aria-labelledby=daemon>\n<h2 id=daemon>The daemon</h2>\n<dl class=pairs>\n")
        .then(&tested)
        .then(&layers);
    html.then(&own(shown)).raw("</dl>\n</section>\n")
}

fn layer(name: &str, state: &Result<String, String>) -> Html {
    let html = Html::new()
        .raw("<div><dt>")
        .text(name.replace('_', " "))
        .raw("</dt><dd>");
    match state {
        Ok(words) => html.raw("<span class=good>✓</span> ").text(words),
        Err(reason) => html.raw("<strong class=bad>✗</strong> ").text(reason),
    }
    .raw("</dd></div>\n")
}

fn own(shown: &Shown) -> Html {
    let one = |name| figures::one(shown.snapshot, name);
    let reading: f64 = figures::of(shown.snapshot, "scrape_duration_seconds")
        .map(Row::real)
        .sum();
    let pairs = [
        Some(("one reading takes", words::seconds(reading))).filter(|_| reading > 0.0),
        one("process_resident_memory_bytes").map(|row| ("memory", text::bytes(row.count()))),
        one("process_cpu_seconds_total").map(|row| ("CPU time", words::seconds(row.real()))),
        one("process_open_fds").map(|row| ("open files", row.count().to_string())),
    ];
    let pair = |(name, words): (&'static str, String)| {
        Html::new()
            .raw("<div><dt>")
            .raw(name)
            .raw("</dt><dd>")
            .text(words)
            .raw("</dd></div>\n")
    };
    pairs.into_iter().flatten().map(pair).collect()
}
