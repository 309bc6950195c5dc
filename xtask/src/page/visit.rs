//! One look at the page, and what must be true of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::browser::Browser;

/// In the page: what a reader would stumble over.
const LOOK: &str = include_str!("look.js");

#[derive(Clone, Copy)]
pub struct Visit {
    pub name: &'static str,
    pub width: u32,
    pub height: u32,
    pub dark: bool,
    pub script: bool,
}

pub struct Visitor<'a> {
    pub browser: &'a mut Browser,
    pub address: String,
    pub ill: bool,
    pub faults: &'a mut Vec<String>,
}

impl Visitor<'_> {
    /// Opens the page and looks at all of it. Returns its picture, a PNG.
    pub fn look(&mut self, visit: &Visit) -> Result<Vec<u8>> {
        self.open(visit)?;
        let seen = self.browser.evaluate(LOOK)?;
        let place = format!(
            "{}, {}, {} JavaScript{}",
            visit.name,
            if visit.dark { "dark" } else { "light" },
            if visit.script { "with" } else { "without" },
            if self.ill { ", ill" } else { "" },
        );
        println!(
            "page: {place}: {} texts, contrast {} at least, {} px high",
            seen["texts"], seen["least"], seen["height"]
        );
        let told = seen["faults"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        let mut faults: Vec<String> = told.map(str::to_owned).collect();
        let mut expect = |what: &str, is: &Value, should: Value| {
            if *is != should {
                faults.push(format!("{what}: {is}, not {should}"));
            }
        };
        let title = if visit.script {
            format!("daxscope · {}", self.address)
        } else {
            "daxscope".into()
        };
        expect("title", &seen["title"], json!(title));
        expect(
            "sections",
            &seen["sections"],
            json!([
                "Devices",
                "Requests for user pages",
                "Work on regions",
                "Probes",
                "Losses",
                "The daemon"
            ]),
        );
        expect(
            "devices",
            &seen["devices"],
            json!(["dax0.0", "dax0.1", "dax1.0", "dax1.1", "pmem2", "pmem3"]),
        );
        expect("pictures", &seen["pictures"], json!(6));
        expect(
            "state",
            &seen["state"],
            json!(if self.ill { "Not ready" } else { "Ready" }),
        );
        // The button is of use only to the script.
        expect("pause", &seen["pause"], json!(visit.script));
        expect("refresh", &seen["refresh"], json!(!visit.script));
        if seen["rates"]
            .as_array()
            .is_none_or(|rates| rates.is_empty() || rates.iter().any(|rate| rate == "–"))
        {
            faults.push(format!("rates: {}", seen["rates"]));
        }
        self.faults
            .extend(faults.into_iter().map(|fault| format!("{place}: {fault}")));
        self.complaints(&place);
        self.picture(visit, &seen)
    }

    pub fn open(&mut self, visit: &Visit) -> Result<()> {
        let Visit {
            width,
            height,
            dark,
            script,
            ..
        } = *visit;
        let phone = width < 500;
        let browser = &mut *self.browser;
        browser.ask(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}),
        )?;
        let scheme = if dark { "dark" } else { "light" };
        browser.ask(
            "Emulation.setEmulatedMedia",
            &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        )?;
        browser.ask(
            "Emulation.setScriptExecutionDisabled",
            &json!({"value": !script}),
        )?;
        browser.forget();
        let went = browser.ask(
            "Page.navigate",
            &json!({"url": format!("http://{}/", self.address)}),
        )?;
        ensure!(
            went.get("errorText").is_none(),
            "the page does not open: {went}"
        );
        browser.wait_for("Page.loadEventFired", Duration::from_secs(30))?;
        Ok(())
    }

    /// What the browser itself complains of, and what it fetched from elsewhere.
    pub fn complaints(&mut self, place: &str) {
        let mut say = |what: &str, of: &Value| self.faults.push(format!("{place}: {what}: {of}"));
        for event in self.browser.events("Log.entryAdded") {
            say("the browser's log", &event["entry"]["text"]);
        }
        for event in self.browser.events("Runtime.exceptionThrown") {
            say("thrown", &event["exceptionDetails"]["text"]);
        }
        for event in self.browser.events("Runtime.consoleAPICalled") {
            say("console", &event["args"]);
        }
        for event in self.browser.events("Network.loadingFailed") {
            say("not loaded", &event["errorText"]);
        }
        let own = format!("http://{}/", self.address);
        for event in self.browser.events("Network.responseReceived") {
            let response = &event["response"];
            let url = response["url"].as_str().unwrap_or_default();
            if response["status"] != 200 || !url.starts_with(&own) {
                say("fetched", &json!([url, response["status"]]));
            }
        }
    }

    fn picture(&mut self, visit: &Visit, seen: &Value) -> Result<Vec<u8>> {
        let clip =
            json!({"x": 0, "y": 0, "width": visit.width, "height": seen["height"], "scale": 1});
        let params = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let taken = self.browser.ask("Page.captureScreenshot", &params)?;
        let data = taken["data"].as_str().context("Chromium took no picture")?;
        STANDARD
            .decode(data)
            .context("Chromium's picture is not in base64")
    }

    pub fn expect(&mut self, what: &str, holds: bool) {
        if !holds {
            self.faults.push(what.to_owned());
        }
    }
}
