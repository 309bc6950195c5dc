//! The report for people.

use std::{fmt, time::Duration};

use super::{Device, GONE, Held, Report, users::Users};
use crate::text::{self, Column, Flush};

const HOLDS: [Column; 8] = [
    ("DEVICE", Flush::Left),
    ("PAGES", Flush::Right),
    ("SIZE", Flush::Right),
    ("PROCESS", Flush::Left),
    ("PID", Flush::Right),
    ("ENTRY", Flush::Left),
    ("CALLER", Flush::Left),
    ("SINCE", Flush::Right),
];
const USERS: [Column; 5] = [
    ("DEVICE", Flush::Left),
    ("PROCESS", Flush::Left),
    ("PID", Flush::Right),
    ("MAPPED", Flush::Right),
    ("OPEN FILES", Flush::Right),
];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if let Err(reason) = &self.watched {
            writeln!(f, "Who holds pins is not known: {reason}.\n")?;
        }
        let rows: Vec<_> = self.devices.iter().flat_map(|d| self.rows(d)).collect();
        if !rows.is_empty() {
            writeln!(f, "{}", text::table(HOLDS, &rows))?;
        }
        let free = |device: &&Device| device.holds.is_empty() && device.attributed();
        let free: Vec<_> = self.devices.iter().filter(free).collect();
        if self.devices.is_empty() {
            writeln!(
                f,
                "No pagemaps: this host has no memory of devices that could be pinned."
            )?;
        } else if !free.is_empty() {
            let names: Vec<_> = free.iter().map(|device| device.device.as_str()).collect();
            writeln!(f, "no pins: {}", names.join(" "))?;
        }
        for device in &self.devices {
            let name = &device.device;
            match &device.pinned {
                Err(reason) => writeln!(f, "{name}: pins unknown: {reason}")?,
                Ok(pinned) if pinned.at_least && device.before == 0 => writeln!(
                    f,
                    "{name}: not all pages could be looked at in time; those that were have no other pins"
                )?,
                Ok(_) => {}
            }
        }
        if self.devices.iter().any(|device| device.device == GONE) {
            writeln!(
                f,
                "{GONE}: the kernel took the device down without waiting for these pins; giving them back may crash it"
            )?;
        }
        if let Some(reason) = &self.symbols_unknown {
            writeln!(f, "callers unknown: {reason}")?;
        }
        for reason in &self.skipped {
            writeln!(f, "left out: {reason}")?;
        }
        match &self.users {
            Some(users) => of_users(f, users),
            None => Ok(()),
        }
    }
}

impl Report {
    fn rows(&self, device: &Device) -> Vec<[String; HOLDS.len()]> {
        let row =
            |mark: &str, pages: u64, process: String, [pid, entry, caller, since]: [String; 4]| {
                [
                    device.device.clone(),
                    format!("{mark}{pages}"),
                    format!("{mark}{}", text::bytes(pages * self.page_bytes)),
                    process,
                    pid,
                    entry,
                    caller,
                    since,
                ]
            };
        let nobody = || [const { String::new() }; 4];
        let mut rows: Vec<_> = device
            .holds
            .iter()
            .map(|held| {
                row(
                    "",
                    held.pages,
                    process(held),
                    [
                        held.pid.to_string(),
                        held.entry.clone(),
                        held.caller.clone(),
                        format!(
                            "{} ago",
                            text::age(Duration::from_secs_f64(held.age).as_secs())
                        ),
                    ],
                )
            })
            .collect();
        let at_least = device.pinned.as_ref().is_ok_and(|pinned| pinned.at_least);
        let mark = if at_least { ">=" } else { "" };
        if device.before > 0 {
            let who = match self.watched {
                Ok(()) => "(before daxscope watched)",
                Err(_) => "(not watched)",
            };
            rows.push(row(mark, device.before, who.into(), nobody()));
        }
        if device.unnoted() > 0 {
            rows.push(row("", device.unnoted(), "(not noted)".into(), nobody()));
        }
        rows
    }
}

/// Who may have taken them, where nobody saw it.
fn of_users(f: &mut fmt::Formatter, users: &Users) -> fmt::Result {
    let devices = users.of.join(" ");
    if users.processes.is_empty() {
        writeln!(
            f,
            "\nNo process that could be looked at maps or has open: {devices}"
        )?;
    } else {
        let rows: Vec<_> = users
            .processes
            .iter()
            .map(|user| {
                let mapped = match user.mapped {
                    0 => "-".to_owned(),
                    bytes => text::bytes(bytes),
                };
                let (pid, open) = (user.pid.to_string(), user.open.to_string());
                [user.device.clone(), user.process.clone(), pid, mapped, open]
            })
            .collect();
        writeln!(f, "\nWho maps or has open {devices}, and so may pin:\n")?;
        writeln!(f, "{}", text::table(USERS, &rows))?;
    }
    for mount in &users.mounts {
        let place = format!(
            "{}: mounted on {} ({})",
            mount.device, mount.path, mount.kind
        );
        match mount.pid {
            Some(pid) => writeln!(f, "{place} in the mount namespace of process {pid}")?,
            None => writeln!(f, "{place}")?,
        }
    }
    if users.unseen > 0 {
        writeln!(
            f,
            "processes that could not be looked at, or only in part: {}; root can",
            users.unseen
        )?;
    }
    writeln!(
        f,
        "Not shown: who unmapped and closed what it had pinned, and drivers that pin on their own."
    )
}

fn process(held: &Held) -> String {
    let exited = if held.alive == Some(false) {
        " (exited)"
    } else {
        ""
    };
    format!("{}{exited}", held.process)
}
