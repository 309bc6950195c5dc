//! The pagemaps: what their struct pages cost, where, and what is saved.

use super::{
    Shown,
    figures::{self, Cost, Device},
    html::{
        Cells::{Numbers, Words},
        Column, Html, Table,
    },
    words::{self, NOTHING},
};
use crate::{kernel::facts, text};

const COLUMNS: [Column; 11] = [
    ("Device", Words),
    ("Geometry", Words),
    ("Mode", Words),
    ("Node", Words),
    ("Size", Numbers),
    ("RAM", Numbers),
    ("Tables", Numbers),
    ("On device", Numbers),
    ("Saved", Numbers),
    ("Pinned pages", Numbers),
    ("Deduplicated", Words),
];

pub fn html(shown: &Shown) -> Html {
    let devices = figures::devices(shown.snapshot);
    let html = Html::new().raw("<section aria-labelledby=devices>\n<h2 id=devices>Devices</h2>\n");
    if devices.is_empty() {
        return html.raw(
            "<p>No pagemaps: this host has no memory with struct pages of devices.</p>\n</section>\n",
        );
    }
    let table = Table {
        caption: "Live pagemaps: bytes of their struct pages by where they are, and bytes saved against base pages",
        columns: &COLUMNS,
        rows: devices.iter().map(row).collect(),
        total: (devices.len() > 1).then(|| total(&devices)),
    };
    html.then(&table.html())
        .then(&notes(&devices, shown))
        .raw("</section>\n")
}

fn row(device: &Device<'_>) -> Vec<Html> {
    let cost = |of: fn(&Cost) -> u64| match &device.cost {
        None => Html::from("?"),
        Some(cost) => {
            let mark = if cost.measured { "" } else { "*" };
            words::quiet(of(cost) == 0, format!("{}{mark}", text::bytes(of(cost))))
        }
    };
    let pinned = match device.pinned {
        None => Html::from("?"),
        Some(pages) => words::quiet(pages == 0, words::exact(pages)),
    };
    let deduplicated = match device.deduplicated {
        None => Html::from("?"),
        Some(Ok(())) => Html::new().raw("<span class=good>yes</span>"),
        Some(Err(why)) => Html::new().raw("no: ").text(why),
    };
    vec![
        name(device),
        Html::from(device.geometry),
        Html::from(mode(device)),
        Html::from(or_nothing(device.node)),
        Html::from(text::bytes(bytes(device))),
        cost(|cost| cost.ram),
        cost(|cost| cost.tables),
        cost(|cost| cost.device),
        saved(device),
        pinned,
        deduplicated,
    ]
}

fn name(device: &Device<'_>) -> Html {
    let html = Html::from(device.name);
    let html = match device.namespace {
        "" => html,
        namespace => html.raw(" <small>").text(namespace).raw("</small>"),
    };
    match device.going {
        None => html,
        Some(age) => html
            .raw(" <strong class=bad>going for ")
            .text(text::age(age))
            .raw("</strong>"),
    }
}

/// With a bar: of what its struct pages would take without sharing, what they take.
fn saved(device: &Device<'_>) -> Html {
    let Some(saved) = device.saved else {
        return Html::from("?");
    };
    let words = words::quiet(saved == 0, text::signed_bytes(saved));
    let used = device
        .cost
        .map_or(0, |cost| cost.ram + cost.tables + cost.device);
    let saved = u64::try_from(saved).unwrap_or(0);
    if saved == 0 {
        return words;
    }
    let share = u128::from(saved) * 100 / u128::from(saved.saturating_add(used)).max(1);
    words
        .raw(" <svg class=bar aria-hidden=true><rect class=all width=\"100%\" height=\"100%\"/><rect class=part width=\"")
        .text(share)
        .raw("%\" height=\"100%\"/></svg>")
}

fn total(devices: &[Device<'_>]) -> Vec<Html> {
    let sum = |of: fn(&Cost) -> u64| {
        let known = devices.iter().filter_map(|device| device.cost.as_ref());
        Html::from(text::bytes(known.map(of).sum()))
    };
    let pinned: i64 = devices.iter().filter_map(|device| device.pinned).sum();
    let saved: i64 = devices.iter().filter_map(|device| device.saved).sum();
    vec![
        Html::from("All"),
        Html::new(),
        Html::new(),
        Html::new(),
        Html::from(text::bytes(devices.iter().map(bytes).sum())),
        sum(|cost| cost.ram),
        sum(|cost| cost.tables),
        sum(|cost| cost.device),
        Html::from(text::signed_bytes(saved)),
        Html::from(words::exact(pinned)),
        Html::new(),
    ]
}

/// Why something is not as it should be, each reason once.
fn notes(devices: &[Device<'_>], shown: &Shown) -> Html {
    let mut notes = vec![];
    if devices
        .iter()
        .any(|device| device.cost.is_some_and(|cost| !cost.measured))
    {
        notes.push(Html::from("* by formula, not measured."));
    }
    for device in devices {
        if let Some(why) = device.unmeasured {
            notes.push(Html::from(format_args!(
                "{}: not measured: {why}.",
                device.name
            )));
        }
    }
    let inventory = figures::one(shown.snapshot, "inventory_info");
    if let Some(reason) = inventory
        .map(|row| row.label("reason"))
        .filter(|reason| !reason.is_empty())
    {
        let words = format!(
            "Pagemaps from before the daemon are those of sysfs, not of the kernel's list: {reason}."
        );
        notes.push(Html::from(words));
    }
    if notes.is_empty() {
        return Html::new();
    }
    let items: Html = notes
        .iter()
        .map(|note| Html::new().raw("<li>").then(note).raw("</li>\n"))
        .collect();
    Html::new()
        .raw("<ul class=notes>\n")
        .then(&items)
        .raw("</ul>\n")
}

/// What the struct pages describe.
pub fn bytes(device: &Device<'_>) -> u64 {
    device.struct_pages << facts::page_shift()
}

fn mode(device: &Device<'_>) -> String {
    match device.mode {
        "" => device.kind.to_owned(),
        mode => mode.to_owned(),
    }
}

fn or_nothing(words: &str) -> &str {
    if words.is_empty() { NOTHING } else { words }
}
