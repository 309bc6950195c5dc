//! A headless Chromium, told what to do by its `DevTools` protocol (`chromedevtools.github.io/devtools-protocol`): JSON
//! between zero bytes over two pipes, so that no port is open and nothing is needed to speak it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::command::on_path;

/// In the order in which they are liked; the first is the smaller package.
pub const PROGRAMS: [&str; 2] = ["chromium-headless-shell", "chromium"];
/// Nothing that is asked takes longer, on a busy machine either.
const PATIENCE: Duration = Duration::from_mins(1);

/// Its only page.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: String,
    asked: u64,
    /// What happened and nobody has looked at yet.
    events: Vec<Value>,
    home: PathBuf,
}

impl Browser {
    /// Starts with an empty profile, which it keeps in `home` until it ends.
    pub fn start(home: &Path) -> Result<Self> {
        let program = PROGRAMS.into_iter().find_map(on_path);
        let program = program.context("no Chromium on this machine: run `cargo xtask setup`")?;
        let _ = fs::remove_dir_all(home);
        fs::create_dir_all(home).with_context(|| format!("cannot create {}", home.display()))?;
        // It reads its orders from descriptor 3 and answers on 4.
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec 3<&0 4>&1 </dev/null >&2; exec \"$0\" \"$@\""])
            .arg(&program)
            .arg(format!("--user-data-dir={}", home.display()));
        command.args([
            "--headless",
            "--remote-debugging-pipe",
            "--disable-gpu",
            "--disable-quic",
            "--disable-sync",
            "--disable-component-update",
            "--disable-background-networking",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
        ]);
        // Its sandbox does not work for root.
        if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
            command.arg("--no-sandbox");
        }
        let log = fs::File::create(home.join("log"))?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let to = child.stdin.take().context("no standard input")?;
        let answers = child.stdout.take().context("no standard output")?;
        let (sender, from) = channel();
        thread::spawn(move || {
            let messages = BufReader::new(answers).split(0).map_while(Result::ok);
            let values = messages.filter_map(|message| serde_json::from_slice(&message).ok());
            for value in values {
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            child,
            to,
            from,
            session: String::new(),
            asked: 0,
            events: Vec::new(),
            home: home.to_owned(),
        };
        browser.open()?;
        Ok(browser)
    }

    fn open(&mut self) -> Result<()> {
        let target = self.ask("Target.createTarget", &json!({"url": "about:blank"}))?;
        let attached = self.ask(
            "Target.attachToTarget",
            &json!({"targetId": target["targetId"], "flatten": true}),
        )?;
        let session = attached["sessionId"].as_str();
        session
            .context("Chromium named no session")?
            .clone_into(&mut self.session);
        for domain in ["Page", "Runtime", "Log", "Network", "Accessibility"] {
            self.ask(&format!("{domain}.enable"), &json!({}))?;
        }
        Ok(())
    }

    /// Asks for something, and waits for the answer.
    pub fn ask(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.asked += 1;
        let id = self.asked;
        let mut message = json!({"id": id, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut line = serde_json::to_vec(&message)?;
        line.push(0);
        self.to
            .write_all(&line)
            .with_context(|| format!("Chromium has gone: {}", self.last_words()))?;
        let patience = Instant::now() + PATIENCE;
        loop {
            let mut answer = self
                .hear(patience)
                .with_context(|| format!("no answer to {method}"))?;
            if answer["id"] != json!(id) {
                self.events.push(answer);
                continue;
            }
            if let Some(error) = answer.get("error") {
                bail!("Chromium refuses {method}: {error}");
            }
            return Ok(answer["result"].take());
        }
    }

    fn hear(&self, until: Instant) -> Result<Value> {
        let left = until.saturating_duration_since(Instant::now());
        self.from
            .recv_timeout(left)
            .with_context(|| format!("Chromium is silent: {}", self.last_words()))
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.home.join("log")).unwrap_or_default();
        log.lines().last().unwrap_or("it said nothing").to_owned()
    }

    /// Waits for an event of that name, in what happened since the last [`Browser::forget`].
    pub fn wait_for(&mut self, method: &str, within: Duration) -> Result<Value> {
        let until = Instant::now() + within;
        let mut seen = 0;
        loop {
            if seen == self.events.len() {
                let event = self.hear(until).with_context(|| format!("no {method}"))?;
                self.events.push(event);
            }
            let event = &self.events[seen];
            seen += 1;
            if event["method"] == method {
                return Ok(event["params"].clone());
            }
        }
    }

    /// All that happened since the last [`Browser::forget`], of one name.
    pub fn events(&mut self, method: &str) -> Vec<Value> {
        self.events.extend(self.from.try_iter());
        let of = self.events.iter().filter(|event| event["method"] == method);
        of.map(|event| event["params"].clone()).collect()
    }

    pub fn forget(&mut self) {
        let _ = self.from.try_iter().count();
        self.events.clear();
    }

    /// The value of an expression in the page; promises are waited for.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut result = self.ask("Runtime.evaluate", &params)?;
        if let Some(thrown) = result.get("exceptionDetails") {
            bail!("the page throws at {expression:.80}: {thrown}");
        }
        Ok(result["result"]["value"].take())
    }

    /// Presses and releases a key.
    pub fn press(&mut self, key: &str, code: u32) -> Result<()> {
        for kind in ["keyDown", "keyUp"] {
            let params =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            self.ask("Input.dispatchKeyEvent", &params)?;
        }
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session.clear();
        // It ends its own processes; by a signal, some would stay.
        let _ = self.ask("Browser.close", &json!({}));
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.home);
    }
}
