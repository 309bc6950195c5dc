//! The report as one JSON object, which is also what a daemon answers: every figure as a plain number, its unit in the key.

use serde_json::{Value, json};

use super::{Device, Held, Pinned, Report, users::Users};

impl Report {
    /// The report as one object.
    #[must_use]
    pub fn json(&self) -> Value {
        let devices: Vec<_> = self.devices.iter().map(|d| self.device(d)).collect();
        json!({
            "daxscope": crate::VERSION,
            "tracked": self.watched.is_ok(),
            "untracked_reason": self.watched.as_ref().err(),
            "page_bytes": self.page_bytes,
            "symbols_unknown": self.symbols_unknown,
            "skipped": self.skipped,
            "devices": devices,
            "candidates": self.users.as_ref().map(users),
        })
    }

    fn device(&self, device: &Device) -> Value {
        let holds: Vec<_> = device.holds.iter().map(|held| self.held(held)).collect();
        let pinned = device.pinned.as_ref();
        json!({
            "device": device.device,
            "namespace": device.namespace,
            "pinned_pages": pinned.ok().map(|pinned| pinned.pages),
            "pinned_at_least": pinned.ok().map(|pinned| pinned.at_least),
            "pinned_unknown": pinned.err(),
            "tracked_pages": device.held(),
            "before_pages": device.before,
            "untracked_pages": device.unnoted(),
            "holds": holds,
        })
    }

    fn held(&self, held: &Held) -> Value {
        json!({
            "process": held.process,
            "pid": held.pid,
            "alive": held.alive,
            "entry": held.entry,
            "caller": held.caller,
            "stack": held.stack,
            "pages": held.pages,
            "bytes": held.pages * self.page_bytes,
            "age_seconds": held.age,
        })
    }

    /// From what a daemon answered; `None` if that is not of this shape.
    #[must_use]
    pub fn from_json(told: &Value) -> Option<Self> {
        let words = |value: &Value| Some(value.as_str()?.to_owned());
        let list = |value: &Value| -> Option<Vec<String>> {
            value.as_array()?.iter().map(words).collect()
        };
        let held = |of: &Value| {
            Some(Held {
                process: words(&of["process"])?,
                pid: u32::try_from(of["pid"].as_u64()?).ok()?,
                alive: of["alive"].as_bool(),
                entry: words(&of["entry"])?,
                caller: words(&of["caller"])?,
                stack: list(&of["stack"])?,
                pages: of["pages"].as_u64()?,
                age: of["age_seconds"].as_f64()?,
            })
        };
        let pinned = |of: &Value| {
            let Some(pages) = of["pinned_pages"].as_u64() else {
                return Some(Err(words(&of["pinned_unknown"])?));
            };
            let at_least = of["pinned_at_least"].as_bool()?;
            Some(Ok(Pinned { pages, at_least }))
        };
        let device = |of: &Value| {
            Some(Device {
                device: words(&of["device"])?,
                namespace: words(&of["namespace"]),
                pinned: pinned(of)?,
                before: of["before_pages"].as_u64()?,
                holds: of["holds"]
                    .as_array()?
                    .iter()
                    .map(held)
                    .collect::<Option<_>>()?,
            })
        };
        let devices = told["devices"].as_array()?;
        told["tracked"].as_bool().filter(|tracked| *tracked)?;
        Some(Self {
            watched: Ok(()),
            page_bytes: told["page_bytes"].as_u64()?,
            symbols_unknown: words(&told["symbols_unknown"]),
            skipped: list(&told["skipped"])?,
            devices: devices.iter().map(device).collect::<Option<_>>()?,
            users: None,
        })
    }
}

fn users(users: &Users) -> Value {
    let processes = users.processes.iter().map(|user| {
        json!({
            "device": user.device,
            "process": user.process,
            "pid": user.pid,
            "mapped_bytes": user.mapped,
            "open_files": user.open,
        })
    });
    let mounts = users.mounts.iter().map(|mount| {
        json!({
            "device": mount.device,
            "path": mount.path,
            "filesystem": mount.kind,
            "seen_by_pid": mount.pid,
        })
    });
    json!({
        "devices": users.of,
        "processes": processes.collect::<Vec<_>>(),
        "mounts": mounts.collect::<Vec<_>>(),
        "processes_not_looked_at": users.unseen,
    })
}
