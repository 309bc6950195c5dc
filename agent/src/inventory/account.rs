//! One pagemap with everything that is known of its cost: its names, what was measured, what the formula says, and what
//! follows from both. Pure; every view and metric of pagemaps takes it from here.

use std::collections::HashMap;

use super::{
    Inventory, Pagemap,
    cost::{Cost, Rules, UNKNOWN, Why},
    names::{Device, Names},
};

/// The rules of the running kernel, or why there are none.
pub type Formula = Result<Rules, Why>;

/// A pagemap, accounted for.
#[derive(Clone, Debug)]
pub struct Account<'a> {
    pub pagemap: &'a Pagemap,
    pub device: Option<&'a Device>,
    /// The device's name; `TYPE#N` where a pagemap has none, N counted from 0 by address.
    pub label: String,
    /// `Err` holds the reason where there is no such figure.
    pub measured: Result<Cost, String>,
    pub formula: Result<Cost, String>,
    /// What base pages would cost in the same place, by formula.
    pub base: Result<Cost, String>,
    /// Whether struct pages share memory: as measured, else by formula. `Err` holds why not, or why nobody can tell.
    pub deduplicated: Result<(), Why>,
}

/// All pagemaps of an inventory, by physical address.
#[must_use]
pub fn accounts<'a>(
    inventory: &'a Inventory,
    names: &'a Names,
    formula: &Formula,
) -> Vec<Account<'a>> {
    let mut pagemaps: Vec<_> = inventory.pagemaps.iter().collect();
    pagemaps.sort_by_key(|pagemap| pagemap.ranges.first().map(|range| range.start));
    let mut nameless = HashMap::new();
    pagemaps
        .into_iter()
        .map(|pagemap| {
            let device = pagemap.ranges.first().and_then(|first| names.of(first));
            let label = if let Some(device) = device {
                device.device.clone()
            } else {
                let n = nameless.entry(&pagemap.kind).or_insert(0_u32);
                *n += 1;
                format!("{}#{}", pagemap.kind, *n - 1)
            };
            Account::new(pagemap, device, label, formula)
        })
        .collect()
}

impl<'a> Account<'a> {
    fn new(
        pagemap: &'a Pagemap,
        device: Option<&'a Device>,
        label: String,
        formula: &Formula,
    ) -> Self {
        let altmap = pagemap.altmap.is_some();
        let cost = |shift: &Result<u32, String>| {
            let rules = formula.as_ref().map_err(Why::to_string)?;
            let shift = shift.clone()?;
            Ok(rules.cost(&pagemap.ranges, shift, altmap))
        };
        let measured = pagemap.backing.as_ref().map_err(String::clone);
        let measured = measured.map(|backing| Cost {
            ram: backing.ram_bytes(),
            device: backing.device,
            tables: backing.tables,
        });
        let mut account = Self {
            pagemap,
            device,
            label,
            measured,
            formula: cost(&pagemap.shift),
            base: cost(&Ok(0)),
            deduplicated: Ok(()),
        };
        account.deduplicated = account.verdict(formula);
        account
    }

    /// The best figure there is: measured, else by formula.
    ///
    /// # Errors
    /// Why there is neither.
    pub fn used(&self) -> Result<Cost, String> {
        let or_formula = |unmeasured: &String| {
            let both = |none: &String| format!("{unmeasured}; {none}");
            self.formula.as_ref().copied().map_err(both)
        };
        self.measured.as_ref().copied().or_else(or_formula)
    }

    /// Whether [`Self::used`] is neither exact nor complete: scaled up from a sample.
    #[must_use]
    pub fn sampled(&self) -> bool {
        let backing = self.pagemap.backing.as_ref();
        backing.is_ok_and(|backing| !backing.complete())
    }

    /// Bytes saved against base pages in the same place; below 0 where more is used than they would need.
    ///
    /// # Errors
    /// Why it cannot be told.
    pub fn saved(&self) -> Result<i64, String> {
        let base = self.base.as_ref().map_err(String::clone)?;
        Ok(difference(base.total(), self.used()?.total()))
    }

    /// Bytes measured less bytes by formula; `None` unless there are both.
    #[must_use]
    pub fn disagreement(&self) -> Option<i64> {
        let (measured, formula) = (self.measured.as_ref().ok()?, self.formula.as_ref().ok()?);
        Some(difference(measured.total(), formula.total()))
    }

    /// Struct pages share memory if fewer bytes back them than they have.
    fn verdict(&self, formula: &Formula) -> Result<(), Why> {
        let by_formula = match (formula, &self.pagemap.shift) {
            (Ok(rules), Ok(shift)) => rules.deduplicated(*shift, self.pagemap.altmap.is_some()),
            (Err(why), _) => Err(why.clone()),
            (_, Err(reason)) => Err(Why::new(UNKNOWN, reason.clone())),
        };
        let (Ok(measured), Ok(base)) = (&self.measured, &self.base) else {
            return by_formula;
        };
        if measured.ram + measured.device < base.ram + base.device {
            Ok(())
        } else {
            by_formula.and(Err(Why::new(
                "measured",
                "each struct page has memory of its own, though this kernel could share it",
            )))
        }
    }
}

/// `a - b`, in figures that are far below 2^63.
fn difference(a: u64, b: u64) -> i64 {
    i64::try_from(i128::from(a) - i128::from(b)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
