//! Which points are loaded and attached, and which are not needed because others tell what they would.

use std::collections::HashMap;

use aya::{Btf, Ebpf};

use super::{Verdict, attach, mechanism::Order, missed::Kprobe, symbol::required};
use crate::{
    kernel::Kernel,
    probes::{Family, Need, Point},
};

/// A point, its family, and the function that it is to sit on or why there is none.
pub type Choices = Vec<(
    &'static Family,
    &'static Point,
    Result<&'static str, String>,
)>;

/// What programs are loaded and attached by.
pub struct Means<'a> {
    pub kernel: &'a Kernel,
    pub order: Order<'a>,
    pub btf: Option<Btf>,
    /// Whether all functions that give pins back go through one.
    pub funnel: bool,
}

impl Means<'_> {
    /// Loads what will surely be attached.
    pub fn load(&self, object: &mut Ebpf, choices: &Choices) {
        let first = self.order.mechanisms[0];
        let mut early = HashMap::new();
        for (_, point, choice) in choices {
            // Others may turn out not to be needed.
            let surely = !matches!(point.need, Need::InsteadOf(_) | Need::UnlessAllReach(_));
            if let Ok(symbol) = choice
                && (surely || matches!(point.need, Need::UnlessAllReach(_)) && !self.funnel)
            {
                let names = attach::needed(point, first, &self.order);
                early.extend(names.into_iter().map(|(_, name)| (name, *symbol)));
            }
        }
        attach::load(object, &early, self.btf.as_ref());
    }

    /// Attaches all that can be, in the order of the choices.
    pub fn attach(&self, object: &mut Ebpf, choices: Choices) -> (Vec<Verdict>, Vec<Kprobe>) {
        let mut verdicts: Vec<Verdict> = vec![];
        let mut kprobes = vec![];
        for (family, point, choice) in choices {
            let attached = |number: &u32| {
                let found = |verdict: &&Verdict| verdict.number == *number;
                verdicts
                    .iter()
                    .find(found)
                    .filter(|v| v.mechanism.is_some())
            };
            let mut verdict = Verdict {
                family: family.name,
                point: point.name,
                number: point.number,
                symbol: choice.as_ref().map_or(point.symbols[0], |symbol| *symbol),
                mechanism: None,
                required: required(self.kernel, point),
                reason: String::new(),
                remedy: None,
            };
            let other = match point.need {
                Need::InsteadOf(others) => others.iter().find_map(attached),
                Need::UnlessAllReach(other) if self.funnel => attached(&other),
                _ => None,
            };
            if let Some(other) = other {
                verdict.required = false;
                verdict.reason = format!("not needed: {} tells it", other.symbol);
            } else {
                match choice {
                    Ok(_) => {
                        let btf = self.btf.as_ref();
                        kprobes.extend(attach::point(
                            object,
                            point,
                            &mut verdict,
                            &self.order,
                            btf,
                        ));
                    }
                    Err(reason) => verdict.reason = reason,
                }
            }
            log::debug!("{verdict:?}");
            verdicts.push(verdict);
        }
        (verdicts, kprobes)
    }
}
