//! The verb `holders`: who holds pins on device memory now, as a daemon watched it; where none did, what can still be said.

pub mod ask;
mod json;
pub mod mounts;
pub mod numbers;
pub mod process;
mod status;
pub mod tell;
pub mod users;
mod words;

use std::{path::Path, process::ExitCode};

use anyhow::{Result, bail};
use clap::Args;

use self::users::{Users, Wanted};
use crate::{
    cli::{DEGRADED, SurveyArgs},
    config::Listen,
    inventory::{
        self, Inventory, Source,
        account::{self, Account},
        cost::Rules,
        names::{Names, SYSFS},
    },
    kernel::{Kernel, facts::Facts},
};

#[derive(Args)]
pub struct HoldersArgs {
    /// A dax device, block device or namespace: dax0.0, pmem0, namespace0.0; all if left out
    device: Option<String>,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// Where the daemon listens: 127.0.0.1:9954, `unix:/PATH`; by the socket also where TLS or users are asked for
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9954")]
    from: Listen,
    #[command(flatten)]
    survey: SurveyArgs,
}

/// Stands for the device of pins that were there when their pagemap was taken down.
pub const GONE: &str = "(gone)";
/// Stands for the device of pins of which only the address of a pagemap is known.
pub const UNKNOWN: &str = "(unknown)";

/// Everything that `holders` shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// `Err` holds why nobody watched, and what to do about it.
    pub watched: Result<(), String>,
    /// Of a base page, which is what is counted.
    pub page_bytes: u64,
    /// Why callers have no names; `None` if they have.
    pub symbols_unknown: Option<String>,
    /// All that have a pagemap.
    pub devices: Vec<Device>,
    /// Why a pagemap was left out, once for each.
    pub skipped: Vec<String>,
    /// Who may have taken the pins that nobody saw taken, or may pin; `None` where nobody was looked for.
    pub users: Option<Users>,
}

/// The pins on one device, in base pages.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// As in every other view: `dax0.0`, or `TYPE#N`.
    pub device: String,
    pub namespace: Option<String>,
    /// On its pages now, whoever took them. `Err` holds the reason where that cannot be told.
    pub pinned: Result<Pinned, String>,
    /// Of these, what was there before anybody watched, as far as it may still be there.
    pub before: u64,
    /// Most pages first.
    pub holds: Vec<Held>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    pub pages: u64,
    /// Whether it may be more: not all pages were looked at.
    pub at_least: bool,
}

/// What one process took at one place in the kernel, and has not given back.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Its name when it pinned, escaped.
    pub process: String,
    pub pid: u32,
    /// Whether it still runs; `None` where that cannot be told.
    pub alive: Option<bool>,
    /// `pin fast`.
    pub entry: String,
    /// `io_pin_pages+0x7a`.
    pub caller: String,
    /// As the caller, innermost first.
    pub stack: Vec<String>,
    pub pages: u64,
    /// How long ago the oldest of them was taken; seconds.
    pub age: f64,
}

/// Prints who holds what.
///
/// # Errors
/// When there is no such device, the kernel cannot be asked at all, or the report not be printed.
pub fn holders(args: &HoldersArgs) -> Result<ExitCode> {
    let mut report = match ask::ask(&args.from) {
        Ok(report) => report,
        Err(reason) => {
            let kernel = Kernel::read(args.survey.btf.as_deref())?;
            let inventory = inventory::take(&kernel, args.survey.budget());
            let names = Names::read(SYSFS.as_ref());
            let facts = Facts::read(kernel.btf.as_ref());
            let page_bytes = 1 << facts.layout.page_shift;
            let accounts = account::accounts(&inventory, &names, &Rules::read(&kernel));
            Report::unwatched(reason, page_bytes, &inventory, &accounts)
        }
    };
    if let Some(wanted) = &args.device {
        report.only(wanted)?;
    }
    report.search(Path::new("/proc"), Path::new(SYSFS), args.device.is_some());
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report.json())?);
    } else {
        print!("{report}");
    }
    Ok(ExitCode::from(report.status()))
}

impl Report {
    /// What can be said of pins that nobody watched: how many there are.
    #[must_use]
    pub fn unwatched(
        reason: String,
        page_bytes: u64,
        inventory: &Inventory,
        accounts: &[Account],
    ) -> Self {
        let mut skipped = inventory.skipped.clone();
        if let Source::Sysfs { reason } = &inventory.source {
            skipped.push(format!("whatever sysfs does not know: {reason}"));
        }
        let device = |account: &Account| {
            let pins = account.pagemap.pins.clone();
            let pinned = pins.map(Pinned::from);
            Device {
                device: account.label.clone(),
                namespace: account.device.and_then(|device| device.namespace.clone()),
                before: pinned.as_ref().map_or(0, |pinned| pinned.pages),
                pinned,
                holds: vec![],
            }
        };
        Self {
            watched: Err(reason),
            page_bytes,
            symbols_unknown: None,
            devices: accounts.iter().map(device).collect(),
            skipped,
            users: None,
        }
    }

    /// Leaves out all others.
    ///
    /// # Errors
    /// When there is no such device; names those there are.
    pub fn only(&mut self, wanted: &str) -> Result<()> {
        let all: Vec<_> = self.devices.iter().map(|d| d.device.clone()).collect();
        let is = |name: &str| name == wanted.strip_prefix("/dev/").unwrap_or(wanted);
        self.devices
            .retain(|d| is(&d.device) || d.namespace.as_deref().is_some_and(is));
        if self.devices.is_empty() {
            let all = match all.as_slice() {
                [] => "no device has".to_owned(),
                all => format!("these have: {}", all.join(" ")),
            };
            bail!("no device {wanted} that has a pagemap; {all}");
        }
        Ok(())
    }

    /// Looks for who may have taken the pins that nobody saw taken, or to whom a process that has exited may have left
    /// its own; or, if `all`, for whoever may pin.
    pub fn search(&mut self, proc: &Path, sysfs: &Path, all: bool) {
        let left = |device: &Device| device.holds.iter().any(|held| held.alive == Some(false));
        let devices = self.devices.iter();
        let devices = devices.filter(|device| all || !device.attributed() || left(device));
        let wanted: Vec<_> = devices
            .map(|device| Wanted {
                device: device.device.clone(),
                numbers: numbers::numbers(sysfs, &device.device),
            })
            .collect();
        if !wanted.is_empty() {
            self.users = Some(users::search(proc, &wanted, &numbers::all_dax(sysfs)));
        }
    }

    /// The exit status: 0 if all that there is to tell is told.
    #[must_use]
    pub fn status(&self) -> u8 {
        let told = self.devices.iter().all(Device::attributed)
            && self.skipped.is_empty()
            && self.symbols_unknown.is_none();
        if told { 0 } else { DEGRADED }
    }
}

impl Device {
    /// Pages whose holders are known.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.holds.iter().map(|held| held.pages).sum()
    }

    /// Pages that were pinned under watch by somebody who was not noted, as when there was no room. Of figures that were
    /// not read at one moment: what is pinned meanwhile may appear here.
    #[must_use]
    pub fn unnoted(&self) -> u64 {
        let pinned = self.pinned.as_ref().map_or(0, |pinned| pinned.pages);
        pinned.saturating_sub(self.held() + self.before)
    }

    /// Whether the holder of every pin is known.
    #[must_use]
    pub fn attributed(&self) -> bool {
        let pinned = self.pinned.as_ref();
        pinned.is_ok_and(|pinned| !pinned.at_least) && self.before == 0 && self.unnoted() == 0
    }
}

impl From<inventory::Pins> for Pinned {
    fn from(pins: inventory::Pins) -> Self {
        Self {
            pages: pins.pages,
            at_least: pins.looked < pins.units,
        }
    }
}
