//! A tracing instance with kprobes of our own: what they record is in no other trace, and all of it goes when this does.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{TRACEFS, write_tracefs};

pub struct Instance {
    /// The name of the instance, and of the group of its events.
    group: &'static str,
    folder: PathBuf,
    events: Vec<String>,
}

impl Instance {
    pub fn create(group: &'static str) -> Result<Self> {
        let folder = Path::new(TRACEFS).join("instances").join(group);
        fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self {
            group,
            folder,
            events: Vec::new(),
        })
    }

    /// A kprobe: the function it is on, and what it notes of its arguments, as Documentation/trace/kprobetrace.rst has it.
    pub fn probe(&mut self, event: &str, what: &str) -> Result<()> {
        write_tracefs("kprobe_events", &format!("p:{}/{event} {what}", self.group))?;
        self.events.push(event.to_owned());
        Ok(())
    }

    /// Records from now on.
    pub fn record(&self) -> Result<()> {
        self.write(&format!("events/{}/enable", self.group), "1")
    }

    /// What was recorded. Names of threads may be of any bytes.
    pub fn trace(&self) -> Result<String> {
        let path = self.folder.join("trace");
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.folder.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn remove(&self) -> Result<()> {
        if !self.events.is_empty() {
            self.write(&format!("events/{}/enable", self.group), "0")?;
        }
        fs::remove_dir(&self.folder)?;
        let mut events = self.events.iter();
        events.try_for_each(|event| {
            write_tracefs("kprobe_events", &format!("-:{}/{event}", self.group))
        })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("kprobes of {} stay behind: {error:#}", self.group);
        }
    }
}
