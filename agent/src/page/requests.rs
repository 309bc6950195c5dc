//! Requests for user pages: how many, how fast, and how long they take.

use std::collections::BTreeMap;

use super::{
    Shown,
    figures::{self, Group, Requests},
    heat::{self, Axes},
    history::{Column as Span, Moment},
    html::{
        Cells::{Numbers, Words},
        Column, Html, Table,
    },
    percentile::Calls,
    words::{self, NOTHING},
};
use crate::text;

const COLUMNS: [Column; 9] = [
    ("Requests", Words),
    ("Calls/s", Numbers),
    ("Pages/s", Numbers),
    ("Calls", Numbers),
    ("Pages", Numbers),
    ("Half within", Numbers),
    ("90 % within", Numbers),
    ("99 % within", Numbers),
    ("Ever: 99 %", Numbers),
];
const ENTRIES: [Column; 4] = [
    ("Way in", Words),
    ("Geometry", Words),
    ("Calls", Numbers),
    ("Pages", Numbers),
];
const ERRORS: [Column; 3] = [("Requests", Words), ("Error", Words), ("Calls", Numbers)];

pub fn html(shown: &Shown, now: &Moment) -> Html {
    let html = Html::new()
        .raw("<section aria-labelledby=requests>\n<h2 id=requests>Requests for user pages</h2>\n");
    if now.requests.is_empty() {
        return html.raw("<p>None since the start.</p>\n</section>\n");
    }
    let columns: Vec<(&Requests, Vec<Span>)> = now
        .requests
        .iter()
        .map(|of| (of, shown.history.columns(&of.group, now)))
        .collect();
    let all = columns.iter().flat_map(|(_, columns)| columns);
    let axes = Axes::of(now.at, shown.history.begins(), all);
    let table = Table {
        caption: "By what is asked for and the geometry of the pages",
        columns: &COLUMNS,
        rows: columns
            .iter()
            .map(|(of, columns)| row(shown, now, of, columns))
            .collect(),
        total: None,
    };
    html.then(&spans(shown, now, axes))
        .then(&table.html())
        .then(&pictures(&columns, axes))
        .then(&entries(shown))
        .then(&errors(shown))
        .raw("</section>\n")
}

/// Over which times rates and percentiles are.
fn spans(shown: &Shown, now: &Moment, axes: Axes) -> Html {
    let html = Html::new().raw("<p class=note>");
    let html = match shown.history.before(now.at) {
        Some(before) => {
            let over = now.at.saturating_duration_since(before.at);
            html.raw("Rates over the last ")
                .text(text::age(over.as_secs().max(1)))
        }
        None => html.raw("Rates take two readings"),
    };
    html.raw("; durations of the last ")
        .text(text::age(axes.span.as_secs()))
        .raw(", to within a ninth, and ever: since the daemon started.</p>\n")
}

fn row(shown: &Shown, now: &Moment, of: &Requests, columns: &[Span]) -> Vec<Html> {
    let before = shown.history.before(now.at);
    let rate = |count: fn(&Requests) -> u64| match before {
        None => Html::from(NOTHING),
        Some(before) => {
            let then = before.of(&of.group).map_or(0, count);
            let new = count(of).saturating_sub(then);
            let over = now.at.saturating_duration_since(before.at);
            words::quiet(new == 0, words::rate(new, over))
        }
    };
    let recent = Calls::of_columns(columns);
    let ever = Calls::since_the_start(&of.durations);
    let within = |calls: &Calls, share| match calls.percentile(share) {
        Some(words) => Html::from(words),
        None => words::quiet(true, NOTHING.into()),
    };
    vec![
        title(&of.group),
        rate(|of| of.calls),
        rate(|of| of.pages),
        Html::from(text::count(of.calls)),
        Html::from(text::count(of.pages)),
        within(&recent, 500),
        within(&recent, 900),
        within(&recent, 990),
        within(&ever, 990),
    ]
}

fn title(group: &Group) -> Html {
    let html = Html::from(&group.how);
    html.raw(" <b class=geometry>")
        .text(&group.geometry)
        .raw("</b>")
}

fn pictures(all: &[(&Requests, Vec<Span>)], axes: Axes) -> Html {
    let untimed = all
        .iter()
        .all(|(of, _)| !Calls::since_the_start(&of.durations).any());
    if untimed {
        return Html::new().raw("<p class=note>Requests are not timed: the daemon was told not to (<code>latency</code>).</p>\n");
    }
    let timed = all
        .iter()
        .filter(|(_, columns)| Calls::of_columns(columns).any());
    let pictures: Html = timed
        .map(|(of, columns)| picture(of, columns, axes))
        .collect();
    if pictures.is_empty() {
        return Html::new().raw("<p class=note>No request was timed while this page looked.</p>\n");
    }
    Html::new()
        .raw("<h3>How long they took</h3>\n")
        .then(&heat::legend())
        .raw("<div class=heats>\n")
        .then(&pictures)
        .raw("</div>\n")
}

fn picture(of: &Requests, columns: &[Span], axes: Axes) -> Html {
    let calls = Calls::of_columns(columns);
    let within = |share| calls.percentile(share).unwrap_or_default();
    let words = format!(
        "durations of {} requests for {} pages over the last {}: half within {}, 99 % within {}",
        of.group.how,
        of.group.geometry,
        text::age(axes.span.as_secs()),
        within(500),
        within(990),
    );
    heat::figure(&title(&of.group), &words, columns, axes)
}

/// Each way into GUP, of those that were taken.
fn entries(shown: &Shown) -> Html {
    let mut counts: BTreeMap<_, [u64; 2]> = BTreeMap::new();
    for (index, metric) in ["gup_calls_total", "gup_pages_total"]
        .into_iter()
        .enumerate()
    {
        for row in figures::of(shown.snapshot, metric) {
            let (how, entry, geometry) =
                (row.label("how"), row.label("entry"), row.label("geometry"));
            let key = (how != "pin", how, entry, figures::order(geometry));
            counts.entry(key).or_default()[index] += row.count();
        }
    }
    counts.retain(|_, [calls, _]| *calls > 0);
    let rows = counts
        .into_iter()
        .map(|((_, how, entry, (_, geometry)), [calls, pages])| {
            let [calls, pages] = [calls, pages].map(|n| Html::from(text::count(n)));
            vec![
                Html::from(format_args!("{how} {entry}")),
                Html::from(geometry),
                calls,
                pages,
            ]
        });
    let table = Table {
        caption: "Since the start, by the function that was called: fast is pin_user_pages_fast or get_user_pages_fast",
        columns: &ENTRIES,
        rows: rows.collect(),
        total: None,
    };
    Html::new()
        .raw("<details id=entries><summary>By function</summary>\n")
        .then(&table.html())
        .raw("</details>\n")
}

fn errors(shown: &Shown) -> Html {
    let failed = figures::of(shown.snapshot, "gup_errors_total").filter(|row| row.count() > 0);
    let rows: Vec<_> = failed
        .map(|row| {
            let entry = format!("{} {}", row.label("how"), row.label("entry"));
            let entry = entry.trim_end();
            vec![
                Html::from(entry),
                Html::from(row.label("errno")),
                Html::from(text::count(row.count())),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Html::new();
    }
    let table = Table {
        caption: "Requests that failed, since the start",
        columns: &ERRORS,
        rows,
        total: None,
    };
    Html::new()
        .raw("<details id=errors><summary>Failed</summary>\n")
        .then(&table.html())
        .raw("</details>\n")
}
