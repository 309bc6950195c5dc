//! Work on whole regions: bringing pagemaps up and taking them down. Seldom, and long.

use super::{
    Shown,
    figures::{self, Row},
    html::{
        Cells::{Numbers, Words},
        Column, Html, Table,
    },
    percentile::Calls,
    words,
};
use crate::text;

const COLUMNS: [Column; 6] = [
    ("Work", Words),
    ("Geometry", Words),
    ("Calls", Numbers),
    ("In all", Numbers),
    ("Half within", Numbers),
    ("99 % within", Numbers),
];
/// Metric, and what it times. Where the function has a label, the label says it.
const WORK: [(&str, &str); 4] = [
    ("memremap_duration_seconds", "memremap_pages"),
    ("memunmap_duration_seconds", "memunmap_pages"),
    ("memmap_init_duration_seconds", "memmap_init_zone_device"),
    ("vmemmap_populate_duration_seconds", ""),
];

pub fn html(shown: &Shown) -> Html {
    let rows: Vec<_> = WORK
        .iter()
        .flat_map(|(metric, function)| {
            figures::of(shown.snapshot, metric).filter_map(|of| row(of, function))
        })
        .collect();
    let html =
        Html::new().raw("<section aria-labelledby=regions>\n<h2 id=regions>Work on regions</h2>\n");
    if rows.is_empty() {
        return html.raw("<p>No pagemap came or went since the start.</p>\n</section>\n");
    }
    let table = Table {
        caption: "Pagemaps coming up and going down, since the start; the functions contain each other",
        columns: &COLUMNS,
        rows,
        total: None,
    };
    html.then(&table.html()).raw("</section>\n")
}

fn row(of: Row<'_>, function: &str) -> Option<Vec<Html>> {
    let durations = of.durations()?;
    let calls = Calls::since_the_start(durations);
    let within = |share| Html::from(calls.percentile(share).unwrap_or_default());
    let function = match of.label("point") {
        "" => function,
        point => point,
    };
    Some(vec![
        Html::new().raw("<code>").text(function).raw("</code>"),
        Html::from(of.label("geometry")),
        words::quiet(of.count() == 0, text::count(of.count())),
        Html::from(text::duration(durations.sum)),
        within(500),
        within(990),
    ])
}
