//! The verb `advise`: what each device's struct pages would cost in every other layout that this kernel can give it, and
//! the command that makes it so. Runs none of them.

mod json;
mod plan;
mod words;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

pub use self::{
    json::json,
    plan::{Layout, Mode, Plan},
    words::Words,
};
use crate::{
    cli::{DEGRADED, SurveyArgs},
    inventory::{
        self, Inventory,
        account::{self, Account, Formula},
        cost::{Cost, Rules},
        names::{self, Device, Names, SYSFS},
    },
    kernel::Kernel,
};

#[derive(Args)]
pub struct AdviseArgs {
    /// A dax device, block device or namespace: dax0.0, pmem0, namespace0.0; all if left out
    device: Option<String>,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    survey: SurveyArgs,
}

/// One device: what it is, and what it could be.
pub struct Advice<'a> {
    pub device: &'a Device,
    /// Its pagemap; `None` if it has none now.
    pub now: Option<Account<'a>>,
    /// All layouts, the present one too. `Err` holds why nothing can be said.
    pub options: Result<Vec<Choice>, String>,
}

/// A layout that a device could have.
pub struct Choice {
    pub layout: Layout,
    /// Whether the device has it now.
    pub now: bool,
    /// What comes of it; `Err` holds why it cannot be had.
    pub outcome: Result<Outcome, String>,
    /// For a shell; destroys what is on the device.
    pub command: String,
}

/// What a layout costs, by formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub cost: Cost,
    /// What the device can hold besides; bytes.
    pub usable: u64,
}

/// Prints advice for all devices, or for one.
///
/// # Errors
/// When there is no such device, or the kernel cannot be asked.
pub fn advise(args: &AdviseArgs) -> Result<ExitCode> {
    let kernel = Kernel::read(args.survey.btf.as_deref())?;
    let names = Names::read(SYSFS.as_ref());
    let inventory = inventory::take(&kernel, args.survey.budget());
    let mut advice = all(&names, &inventory, &Rules::read(&kernel));
    if let Some(wanted) = &args.device {
        let known: Vec<_> = advice.iter().map(|a| a.device.device.clone()).collect();
        let is = |name: &str| name == wanted.strip_prefix("/dev/").unwrap_or(wanted);
        advice.retain(|a| is(&a.device.device) || a.device.namespace.as_deref().is_some_and(is));
        if advice.is_empty() {
            bail!("no device {wanted}; sysfs has: {}", known.join(" "));
        }
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&json(&advice))?);
    } else {
        print!("{}", Words(&advice));
    }
    let told = advice.iter().all(|advice| advice.options.is_ok());
    Ok(ExitCode::from(if told { 0 } else { DEGRADED }))
}

/// Advice for every device.
#[must_use]
pub fn all<'a>(names: &'a Names, inventory: &'a Inventory, formula: &Formula) -> Vec<Advice<'a>> {
    let accounts = account::accounts(inventory, names, formula);
    let devices = names.devices().iter();
    devices
        .map(|device| {
            let now = accounts
                .iter()
                .find(|a| a.device.is_some_and(|of| of == device));
            Advice {
                device,
                now: now.cloned(),
                options: options(device, formula),
            }
        })
        .collect()
}

fn options(device: &Device, formula: &Formula) -> Result<Vec<Choice>, String> {
    let rules = formula.as_ref().map_err(ToString::to_string)?;
    if device.mode == names::SYSTEM_RAM {
        return Err("given to the system as RAM, which has no pagemap".into());
    }
    let ranges = device.ranges.as_ref().map_err(String::clone)?;
    let option = |layout: Layout| Choice {
        layout,
        now: layout.is_of(device),
        outcome: Plan::new(layout, device, ranges, rules).map(|plan| Outcome {
            cost: plan.cost(rules),
            usable: plan.usable,
        }),
        command: layout.command(device),
    };
    Ok(Layout::all(device).into_iter().map(option).collect())
}

impl Advice<'_> {
    /// What a layout costs, the present one as measured, if it is; `None` if the device cannot have it.
    #[must_use]
    pub fn cost(&self, option: &Choice) -> Option<Cost> {
        let now = self.now.as_ref().filter(|_| option.now);
        let measured = now.and_then(|now| now.measured.as_ref().ok().copied());
        let outcome = option.outcome.as_ref().ok()?;
        Some(measured.unwrap_or(outcome.cost))
    }

    /// Bytes of RAM that a layout takes less than the present one; `None` if that is not known.
    #[must_use]
    pub fn saves(&self, option: &Choice) -> Option<i64> {
        let now = self.now.as_ref()?.used().ok()?;
        now.in_ram()
            .checked_signed_diff(self.cost(option)?.in_ram())
    }

    /// The layout with the least RAM, and the one with the least of those whose struct pages stay in RAM. Of equals the
    /// present one, else the one with the smallest pages.
    #[must_use]
    pub fn least(&self) -> [Option<&Choice>; 2] {
        let least = |of: fn(&Layout) -> bool| {
            let options = self.options.as_ref().ok()?.iter();
            let possible = options.filter(|option| of(&option.layout) && option.outcome.is_ok());
            possible.min_by_key(|option| (self.cost(option).map(|cost| cost.in_ram()), !option.now))
        };
        [least(|_| true), least(Layout::in_ram)]
    }
}
