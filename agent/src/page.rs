//! The page for people at `/`: one document, made here from a snapshot and what came before it. It shows everything without
//! JavaScript, and nothing in it comes from elsewhere.

mod devices;
mod figures;
mod heat;
mod history;
mod html;
mod percentile;
mod regions;
mod requests;
mod state;
mod summary;
mod words;

use std::time::{Instant, SystemTime};

pub use self::history::History;
use self::{history::Moment, html::Html};
use crate::{load::Verdict, serve::source::Readiness, snapshot::Snapshot, text};

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

/// The media type of [`document`].
pub const MEDIA: &str = "text/html; charset=utf-8";

/// Something that the page links to, the same at every moment.
pub struct Asset {
    pub media: &'static str,
    pub body: &'static str,
}

/// What is at a path; `None` where nothing that the page links to is. A browser may keep it: links carry the revision, so that
/// an old one is not taken for the new.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    let (media, body) = match path {
        "/style.css" => ("text/css; charset=utf-8", include_str!("page/style.css")),
        "/page.js" => (
            "text/javascript; charset=utf-8",
            include_str!("page/page.js"),
        ),
        "/icon.svg" => ("image/svg+xml", include_str!("page/icon.svg")),
        _ => return None,
    };
    Some(Asset { media, body })
}

/// The page itself. Paths are relative: a proxy may have put it below a path of its own.
#[must_use]
pub fn document(shown: &Shown) -> String {
    let now = Moment::new(shown.at, shown.snapshot);
    let head = Html::new()
        .raw(
            "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
             <meta name=viewport content=\"width=device-width, initial-scale=1\">\n\
             <meta name=color-scheme content=\"light dark\">\n\
             <title>daxscope</title>\n<link rel=icon type=\"image/svg+xml\" href=\"icon.svg?",
        )
        .text(crate::REVISION)
        .raw("\">\n<link rel=stylesheet href=\"style.css?")
        .text(crate::REVISION)
        .raw("\">\n<script src=\"page.js?")
        .text(crate::REVISION)
        .raw(
            "\" defer></script>\n\
             <noscript><meta http-equiv=refresh content=5></noscript>\n</head>\n<body>\n\
             <a class=skip href=\"#devices\">To the devices</a>\n",
        );
    head.then(&header())
        .raw("<main>\n")
        .then(&summary::html(shown, &now))
        .then(&devices::html(shown))
        .then(&requests::html(shown, &now))
        .then(&regions::html(shown))
        .then(&state::html(shown))
        .raw("</main>\n")
        .then(&footer())
        .raw("</body>\n</html>\n")
        .into_string()
}

fn header() -> Html {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let time = text::utc(u64::try_from(since.as_nanos()).unwrap_or_default());
    // 2026-11-22T20:08:17.123456789Z
    let (to_the_second, of_day) = (
        time.get(..19).unwrap_or(&time),
        time.get(11..19).unwrap_or(&time),
    );
    Html::new()
        .raw("<header>\n<h1>daxscope</h1>\n<p id=live><span id=said>As of <time datetime=\"")
        .text(to_the_second)
        .raw("Z\">")
        .text(of_day)
        .raw(
            " UTC</time></span> <button type=button id=pause hidden>Pause</button></p>\n<nav aria-label=\"other paths\">\
             <a href=metrics>metrics</a> <a href=healthz>healthz</a> <a href=readyz>readyz</a></nav>\n</header>\n",
        )
}

fn footer() -> Html {
    Html::new()
        .raw("<footer><p>daxscope ")
        .text(crate::VERSION)
        .raw(" (")
        .text(crate::REVISION)
        .raw(
            "). Figures are those of <a href=metrics>metrics</a>, where each says which kernel function it comes from. \
             Who holds pins: <code>daxscope holders</code> on this host.</p></footer>\n",
        )
}
