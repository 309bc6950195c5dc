//! The verb `list`: every live pagemap, once, and what its struct pages cost.

mod json;
mod words;

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Result;
use clap::Args;

use crate::{
    cli::{DEGRADED, SurveyArgs},
    inventory::{
        self, Inventory, Source,
        account::{self, Account, Formula},
        cost::{Cost, Rules},
        names::{Names, SYSFS},
    },
    kernel::{Kernel, facts::Facts, vmstat},
};

#[derive(Args)]
pub struct ListArgs {
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    survey: SurveyArgs,
}

/// Everything that `list` shows.
pub struct Report<'a> {
    /// As `uname -r` prints it.
    pub kernel: &'a str,
    pub page_shift: u32,
    pub inventory: &'a Inventory,
    pub formula: &'a Formula,
    pub accounts: Vec<Account<'a>>,
    /// The kernel's own count, if it has one: [`vmstat::MEMMAP`], pages.
    pub memmap_pages: Option<u64>,
}

/// Prints what is there.
///
/// # Errors
/// When the kernel cannot be asked at all, or the list not be printed.
pub fn list(args: &ListArgs) -> Result<ExitCode> {
    let kernel = Kernel::read(args.survey.btf.as_deref())?;
    let inventory = inventory::take(&kernel, args.survey.budget());
    let (names, formula) = (Names::read(SYSFS.as_ref()), Rules::read(&kernel));
    let report = Report::new(&kernel, &inventory, &names, &formula);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report.json())?);
    } else {
        print!("{report}");
    }
    Ok(ExitCode::from(report.status()))
}

impl<'a> Report<'a> {
    fn new(
        kernel: &'a Kernel,
        inventory: &'a Inventory,
        names: &'a Names,
        formula: &'a Formula,
    ) -> Self {
        let [memmap_pages, ..] = vmstat::read();
        Self {
            kernel: &kernel.release,
            page_shift: Facts::read(kernel.btf.as_ref()).layout.page_shift,
            inventory,
            formula,
            accounts: account::accounts(inventory, names, formula),
            memmap_pages,
        }
    }

    /// The exit status: 0 if all that there is to tell is told.
    #[must_use]
    pub fn status(&self) -> u8 {
        let told = self.inventory.source == Source::PgmapArray
            && self.inventory.skipped.is_empty()
            && self.untold().is_empty();
        if told { 0 } else { DEGRADED }
    }

    /// What could not be told, with the reason, and of which pagemaps.
    fn untold(&self) -> BTreeMap<String, Vec<&str>> {
        let mut untold: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for account in &self.accounts {
            let pagemap = account.pagemap;
            let cost = match (&account.measured, &account.formula) {
                (Ok(_), _) => None,
                (Err(reason), Ok(_)) => Some(format!("* by formula, not measured: {reason}")),
                (Err(_), Err(_)) => account
                    .used()
                    .err()
                    .map(|why| format!("RAM unknown: {why}")),
            };
            let geometry = pagemap.shift.as_ref().err();
            let pins = pagemap.pins.as_ref().err();
            let saved = match (account.used(), &account.base) {
                (Ok(_), Err(reason)) => Some(format!("savings unknown: {reason}")),
                _ => None,
            };
            let all = [
                cost,
                saved,
                geometry.map(|reason| format!("geometry unknown: {reason}")),
                pins.map(|reason| format!("pins unknown: {reason}")),
            ];
            for reason in all.into_iter().flatten() {
                untold.entry(reason).or_default().push(&account.label);
            }
        }
        untold
    }

    /// The sum of what is used, of all whose use is known.
    fn used(&self) -> Cost {
        self.accounts.iter().filter_map(|a| a.used().ok()).sum()
    }

    /// The kernel's count beside ours: both in pages, and the difference. Page tables are in neither; pages on devices
    /// are in both.
    fn kernels_count(&self) -> Option<Count> {
        let used = self.used();
        let bases = self.accounts.iter().map(|a| a.base.clone().ok());
        let bases: Option<Cost> = bases
            .collect::<Option<Vec<_>>>()
            .map(|all| all.into_iter().sum());
        let pages = |cost: Cost| (cost.ram + cost.device) >> self.page_shift;
        Some(Count {
            kernel: self.memmap_pages?,
            ours: pages(used),
            base: bases.map(pages),
        })
    }
}

/// Pages of struct pages.
struct Count {
    kernel: u64,
    ours: u64,
    /// If all were of base pages.
    base: Option<u64>,
}
