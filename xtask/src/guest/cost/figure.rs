//! A count of instructions, and how well it repeats.

use anyhow::{Context, Result};

/// Instructions per call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// Between the quartiles: what half of the batches lie within. Outliers are timer ticks.
    pub spread: f64,
    /// Calls that were measured.
    pub calls: u64,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of instructions, far below 2^53"
)]
impl Figure {
    /// Of batches of so many calls each.
    pub fn of(mut batches: Vec<u64>, calls: u64) -> Result<Figure> {
        batches.sort_unstable();
        let at = |share: usize| {
            let batch = batches.get((batches.len().max(1) - 1) * share / 4)?;
            Some(*batch as f64 / calls as f64)
        };
        let quartile = |share| at(share).context("nothing was measured");
        Ok(Figure {
            median: quartile(2)?,
            min: quartile(0)?,
            max: quartile(4)?,
            spread: quartile(3)? - quartile(1)?,
            calls: batches.len() as u64 * calls,
        })
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Figure {
            median,
            min,
            max,
            spread,
            ..
        } = self;
        write!(
            out,
            "{median:.1} instructions per call (spread {spread:.1}, least {min:.1}, most {max:.1})"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Figure;

    #[test]
    fn quartiles_leave_the_ticks_out() {
        let figure = Figure::of(vec![100, 500, 102, 101, 103], 10).expect("five batches");
        let told = (figure.median, figure.min, figure.max, figure.spread);
        assert_eq!(told, (10.2, 10.0, 50.0, 10.3 - 10.1));
        assert!(Figure::of(vec![], 10).is_err());
    }
}
