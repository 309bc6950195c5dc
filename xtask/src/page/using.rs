//! The page in use: over time, by keyboard, for a screen reader, and against somebody who got markup into it.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::VISITS;
use super::visit::Visitor;

/// The page brings itself up to date every 5 s; this is for a busy machine.
const UPDATE: Duration = Duration::from_secs(20);

impl Visitor<'_> {
    /// With JavaScript: the figures change, all else stays where it is; and it can be paused.
    pub fn stays_up_to_date(&mut self) -> Result<()> {
        self.open(&VISITS[0])?;
        self.browser.evaluate(
            "window.here = true; document.getElementById('verdicts').open = true; \
             document.getElementById('probes').scrollIntoView(); window.was = scrollY; \
             window.cell = document.querySelector('main td'); document.querySelector('#verdicts summary').focus(); \
             window.figures = document.querySelector('section[aria-labelledby=requests]').textContent; \
             window.said = document.getElementById('said').textContent",
        )?;
        let changed = "new Promise((resolve, reject) => { setTimeout(reject, 20000, 'no update'); \
             new MutationObserver(() => { if (document.getElementById('said').textContent !== said) resolve(true) }) \
             .observe(document.body, {subtree: true, childList: true, characterData: true}) })";
        self.browser.evaluate(changed)?;
        let after = self.browser.evaluate(
            "({ same: window.here === true, open: document.getElementById('verdicts').open, \
             scroll: scrollY === was && scrollY > 0, cell: cell.isConnected, \
             focus: document.activeElement?.nodeName === 'SUMMARY', \
             figures: document.querySelector('section[aria-labelledby=requests]').textContent !== figures })",
        )?;
        for (what, holds) in after.as_object().into_iter().flatten() {
            self.expect(
                &format!("after an update: {what} is not kept"),
                *holds == json!(true),
            );
        }
        let button = "document.getElementById('pause').click(); document.getElementById('pause').textContent";
        let named = self.browser.evaluate(button)?;
        self.browser.forget();
        // More than an update's time.
        thread::sleep(Duration::from_secs(6));
        let fetched = self.browser.events("Network.requestWillBeSent").len();
        self.expect(
            &format!("paused, it says {named} and fetched {fetched} times"),
            fetched == 0 && named == "Resume",
        );
        self.browser.evaluate(button)?;
        let resumed = self.browser.wait_for("Network.responseReceived", UPDATE);
        self.expect("it does not resume", resumed.is_ok());
        self.complaints("up to date");
        Ok(())
    }

    /// All that can be used is reached by the tab key, in order, and shows it.
    pub fn by_keyboard(&mut self) -> Result<()> {
        self.open(&VISITS[0])?;
        let all = self.browser.evaluate("[...document.querySelectorAll('a, button, summary')].filter((e) => e.checkVisibility()).length")?;
        let mut order = Vec::new();
        for _ in 0..all.as_u64().unwrap_or_default() {
            self.browser.press("Tab", 9)?;
            let focus = self.browser.evaluate(
                "(() => { const e = document.activeElement; return [e.nodeName, e.textContent.trim(), getComputedStyle(e).outlineStyle] })()",
            )?;
            self.expect(&format!("no outline at {focus}"), focus[2] != "none");
            order.push(format!(
                "{} {}",
                focus[0].as_str().unwrap_or_default(),
                focus[1].as_str().unwrap_or_default()
            ));
        }
        let mut once = order.clone();
        once.dedup();
        let first = order.first().map(String::as_str) == Some("A To the devices");
        self.expect(
            &format!("by the tab key: {order:?}"),
            first && once.len() == order.len(),
        );
        // What a screen reader is given on a phone, where rows are cards: tables all the same.
        self.open(&VISITS[2])?;
        let tree = self
            .browser
            .ask("Accessibility.getFullAXTree", &json!({}))?;
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        let count = |role: &str| {
            nodes
                .iter()
                .filter(|node| node["role"]["value"] == role)
                .count()
        };
        let roles = ["table", "row", "rowheader", "columnheader", "cell"].map(count);
        let named = nodes
            .iter()
            .filter(|node| node["role"]["value"] == "table" && node["name"]["value"] != "")
            .count();
        // Three tables are not in details: 6 devices and their sum, 6 groups of requests, 6 kinds of work; what the sum of
        // devices leaves empty is no cell.
        let all = roles == [3, 22, 19, 26, 144] && named == roles[0];
        self.expect(&format!("a screen reader's tables, rows, row headers, column headers, cells: {roles:?}, {named} named"), all);
        Ok(())
    }

    /// Without JavaScript: it loads itself again.
    pub fn without_script(&mut self) -> Result<()> {
        self.open(&VISITS[4])?;
        self.browser.forget();
        let again = self.browser.wait_for("Page.loadEventFired", UPDATE);
        self.expect(
            "without JavaScript it does not load itself again",
            again.is_ok(),
        );
        Ok(())
    }

    /// A script that somebody got into it would not run.
    pub fn obeys_its_policy(&mut self) -> Result<()> {
        self.open(&VISITS[0])?;
        let ran = self.browser.evaluate(
            "(() => { const s = document.createElement('script'); s.textContent = 'window.ran = true'; document.body.append(s); \
             const p = document.createElement('p'); p.setAttribute('style', 'color: red'); document.body.append(p); \
             return [window.ran === true, p.style.color] })()",
        )?;
        self.expect(
            &format!("inline script and style in force: {ran}"),
            ran == json!([false, ""]),
        );
        Ok(())
    }

    /// The daemon has gone: the page says so, and keeps what it has.
    pub fn says_that_nobody_answers(&mut self) -> Result<()> {
        let said = self.browser.evaluate(
            "new Promise((resolve, reject) => { setTimeout(reject, 20000, 'nothing'); const look = () => \
             document.body.classList.contains('stale') ? resolve(document.getElementById('said').textContent) : setTimeout(look, 100); look() })",
        )?;
        let words = said.as_str().unwrap_or_default();
        self.expect(
            &format!("without a daemon: {words:?}"),
            words.contains("no answer since"),
        );
        Ok(())
    }
}
