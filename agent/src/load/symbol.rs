//! Which kernel function stands for a point: the newest one that can be traced and has its parameters where they are
//! read.

use crate::{
    kernel::{Kernel, symbols::Traceable},
    probes::{Need, Point},
};

/// The function that a point is to sit on, or why there is none.
pub(super) fn choose(kernel: &Kernel, point: &Point) -> Result<&'static str, String> {
    let mut reason = String::new();
    for symbol in point.symbols {
        match kernel.symbols.traceable(symbol) {
            Traceable::Yes | Traceable::Unknown => return check_parameters(kernel, point, symbol),
            Traceable::No => {
                reason = format!(
                    "{symbol} cannot be traced on this kernel: it is notrace, not in available_filter_functions"
                );
            }
            Traceable::Absent => {
                if reason.is_empty() {
                    reason = format!("this kernel has no {}", point.symbols.join(" or "));
                }
            }
        }
    }
    Err(reason)
}

/// Refuses a function whose parameters are not where the programs read them.
fn check_parameters(
    kernel: &Kernel,
    point: &Point,
    symbol: &'static str,
) -> Result<&'static str, String> {
    let Some(parameters) = parameters(kernel, symbol) else {
        return Ok(symbol);
    };
    for (position, names) in point.reads {
        let found = parameters.get(*position).map_or("nothing", String::as_str);
        if !names.contains(&found) {
            return Err(format!(
                "parameter {position} of {symbol} is {found} on this kernel, not {}: daxscope does not know this signature",
                names.join(" or ")
            ));
        }
    }
    Ok(symbol)
}

pub(super) fn parameters(kernel: &Kernel, symbol: &str) -> Option<Vec<String>> {
    let btf = kernel.btf.as_ref().ok()?;
    btf.function(symbol).map(|signature| signature.parameters)
}

/// Whether a point that is not attached leaves a hole.
pub(super) fn required(kernel: &Kernel, point: &Point) -> bool {
    match point.need {
        Need::Always => true,
        Need::Extra => false,
        Need::IfPresent | Need::InsteadOf(_) | Need::UnlessAllReach(_) => {
            let absent = |symbol: &&str| kernel.symbols.traceable(symbol) == Traceable::Absent;
            !point.symbols.iter().all(absent)
        }
    }
}
