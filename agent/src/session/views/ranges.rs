//! Slots of durations put together, so that they are few enough to be looked at.

use daxscope_common::hist::fine;

/// Ranges of as many slots each. The first slot and the overflow are ranges of their own.
#[derive(Clone, Copy)]
pub struct Ranges {
    step: usize,
}

impl Ranges {
    /// As narrow as they can be without being more than `most` between two slots; at the widest, a power of two each.
    pub fn new([first, last]: [usize; 2], most: usize) -> Self {
        let all = [1, 2, 4, 8].map(|step| Self { step });
        let few = |ranges: &&Self| ranges.of(last) - ranges.of(first) < most;
        *all.iter().find(few).unwrap_or(&all[3])
    }

    /// The range of a slot; a longer duration is in no lower one.
    pub const fn of(self, slot: usize) -> usize {
        match slot {
            0 => 0,
            // Between the ends are whole powers of two, so that the overflow begins a range.
            _ => 1 + (slot - 1) / self.step,
        }
    }

    /// What durations in a range are longer than, and the longest, in nanoseconds; `None` without such a limit.
    pub fn bounds(self, range: usize) -> [Option<u64>; 2] {
        let slot = range * self.step;
        match range {
            0 => [None, Some(fine::bound(0))],
            _ if slot >= fine::OVERFLOW => [Some(fine::bound(fine::OVERFLOW - 1)), None],
            _ => [Some(fine::bound(slot - self.step)), Some(fine::bound(slot))],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_between_the_bounds_of_its_range() {
        for most in [500, 100, 50, 20] {
            let ranges = Ranges::new([0, fine::OVERFLOW], most);
            for slot in 0..=fine::OVERFLOW {
                let [longer, upto] = ranges.bounds(ranges.of(slot));
                let low = if slot == 0 { 0 } else { fine::bound(slot - 1) };
                assert!(longer.is_none_or(|longer| longer <= low), "{slot}");
                assert!(upto.is_none_or(|upto| upto >= fine::bound(slot)), "{slot}");
                assert_eq!(longer.is_none(), slot == 0, "{slot}");
                assert_eq!(upto.is_none(), slot == fine::OVERFLOW, "{slot}");
            }
        }
        assert_eq!(Ranges::new([9, 33], 24).step, 2);
    }
}
