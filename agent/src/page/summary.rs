//! What somebody wants to know at a glance.

use super::{
    Shown, devices,
    figures::{self, Cost, Requests},
    history::Moment,
    html::Html,
    words::{self, NOTHING},
};
use crate::{kernel::facts, text};

pub fn html(shown: &Shown, now: &Moment) -> Html {
    Html::new()
        .raw("<section aria-label=\"at a glance\">\n")
        .then(&readiness(shown))
        .raw("<dl class=tiles>\n")
        .then(&memory(shown))
        .then(&pins(shown))
        .then(&rates(shown, now))
        .raw("</dl>\n</section>\n")
}

/// Whether what is shown can be relied on, with the reasons if not.
fn readiness(shown: &Shown) -> Html {
    let reasons = &shown.readiness.reasons;
    if reasons.is_empty() {
        let attached = shown
            .verdicts
            .iter()
            .filter(|verdict| verdict.mechanism.is_some());
        return Html::new()
            .raw("<p class=\"state good\"><strong>Ready</strong> ")
            .text(attached.count())
            .raw(" probes attached, no required one is missing</p>\n");
    }
    let reasons: Html = reasons
        .iter()
        .map(|reason| Html::new().raw("<li>").text(reason).raw("</li>\n"))
        .collect();
    Html::new()
        .raw("<div class=\"state bad\"><strong>Not ready</strong><ul>\n")
        .then(&reasons)
        .raw("</ul></div>\n")
}

fn tile(title: &'static str, figure: &Html, more: impl std::fmt::Display) -> Html {
    Html::new()
        .raw("<div><dt>")
        .raw(title)
        .raw("</dt><dd>")
        .then(figure)
        .raw(" <small>")
        .text(more)
        .raw("</small></dd></div>\n")
}

fn memory(shown: &Shown) -> Html {
    let all = figures::devices(shown.snapshot);
    let known = || all.iter().filter_map(|device| device.cost.as_ref());
    let sum = |of: fn(&Cost) -> u64| known().map(of).sum::<u64>();
    let (ram, on_devices) = (sum(|cost| cost.ram + cost.tables), sum(|cost| cost.device));
    let saved: i64 = all.iter().filter_map(|device| device.saved).sum();
    let size = text::bytes(all.iter().map(devices::bytes).sum());
    let unknown = all.len() - known().count();
    let of = match unknown {
        0 => words::counted(all.len() as u64, "pagemap", "pagemaps"),
        n => format!("all but {n} of {} pagemaps", all.len()),
    };
    let of = match figures::one(shown.snapshot, "memory_bytes") {
        Some(row) => format!("{} of all RAM; {of}, {size}", percent(ram, row.count())),
        None => format!("{of}, {size}"),
    };
    let whole = i128::from(ram) + i128::from(on_devices) + i128::from(saved);
    let share = if saved > 0 {
        format!(
            "{} % of what base pages would take",
            i128::from(saved) * 100 / whole.max(1)
        )
    } else {
        "against base pages".into()
    };
    tile("RAM for struct pages", &Html::from(text::bytes(ram)), of)
        .then(&tile(
            "Saved",
            &Html::from(text::signed_bytes(saved)),
            share,
        ))
        .then(&tile(
            "On the devices",
            &Html::from(text::bytes(on_devices)),
            "struct pages with map=dev",
        ))
}

/// `0.4 %`: to a tenth, rounded half up.
fn percent(part: u64, whole: u64) -> String {
    let whole = u128::from(whole.max(1));
    let thousandths = (u128::from(part) * 1000 + whole / 2) / whole;
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

fn pins(shown: &Shown) -> Html {
    let devices = figures::devices(shown.snapshot);
    let known: Vec<i64> = devices.iter().filter_map(|device| device.pinned).collect();
    let pages: i64 = known.iter().sum();
    let figure = if known.is_empty() {
        Html::from(NOTHING)
    } else {
        Html::from(words::exact(pages))
    };
    let bytes = u64::try_from(pages).unwrap_or(0) << facts::page_shift();
    let more = match devices.len() - known.len() {
        0 => format!("pages of devices, {}", text::bytes(bytes)),
        n => format!(
            "without {} of which it is not known",
            words::counted(n as u64, "pagemap", "pagemaps")
        ),
    };
    tile("Pinned now", &figure, more)
}

fn rates(shown: &Shown, now: &Moment) -> Html {
    let title = "Pins taken";
    let Some(before) = shown.history.before(now.at) else {
        return tile(title, &Html::from(NOTHING), "a rate takes two readings");
    };
    let pinned = |moment: &Moment, of: fn(&Requests) -> u64| -> u64 {
        let pins = moment
            .requests
            .iter()
            .filter(|requests| requests.group.how == "pin");
        pins.map(of).sum()
    };
    let over = now.at.saturating_duration_since(before.at);
    let new = |of| pinned(now, of).saturating_sub(pinned(before, of));
    let figure = Html::from(words::rate(new(|requests| requests.pages), over))
        .raw("<span class=unit>/s</span>");
    let calls = words::rate(new(|requests| requests.calls), over);
    tile(title, &figure, format_args!("pages, by {calls} requests/s"))
}
