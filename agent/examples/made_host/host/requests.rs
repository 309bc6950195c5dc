//! Requests for user pages: a load that rises and falls, and now and then is held up.

use daxscope::snapshot::Value;
use daxscope_common::hist::{self, Hist, SLOTS};

use super::samples::Samples;

/// What goes on in a group of requests: how, entry, geometry; calls in a second, pages of each; nanoseconds that half of them
/// take, how far the others are from that; seconds after which it repeats itself, for which share of them it is held up.
struct Load(
    &'static str,
    &'static str,
    &'static str,
    f64,
    u64,
    f64,
    f64,
    f64,
    f64,
);

const LOADS: [Load; 9] = [
    Load("pin", "fast", "system", 310.0, 8, 1_900.0, 0.22, 240.0, 0.0),
    Load("pin", "fast", "2M", 4_200.0, 16, 1_250.0, 0.25, 420.0, 0.12),
    Load("pin", "fast", "1G", 850.0, 64, 2_700.0, 0.2, 600.0, 0.0),
    Load("pin", "fast", "4K", 95.0, 128, 31_000.0, 0.3, 300.0, 0.2),
    Load("pin", "remote", "2M", 3.0, 512, 88_000.0, 0.4, 90.0, 0.0),
    Load("pin", "memfd", "system", 0.2, 4, 7_000.0, 0.3, 60.0, 0.0),
    Load("get", "fast", "system", 1_900.0, 1, 420.0, 0.3, 700.0, 0.05),
    Load("get", "fast", "2M", 40.0, 4, 800.0, 0.3, 150.0, 0.0),
    Load("get", "remote", "system", 0.9, 1, 5_200.0, 0.5, 45.0, 0.0),
];

/// What was counted of each load, and how long it took.
pub struct Requests {
    seed: u64,
    counted: Vec<(u64, Hist)>,
}

impl Requests {
    pub fn none() -> Self {
        Self {
            seed: 1,
            counted: LOADS.iter().map(|_| (0, Hist::ZERO)).collect(),
        }
    }

    /// Lives through a second.
    pub fn live(&mut self, second: u64) {
        for (index, load) in LOADS.iter().enumerate() {
            self.work(second, index, load);
        }
    }

    fn work(&mut self, second: u64, index: usize, load: &Load) {
        let Load(_, _, _, calls, _, median, spread, every, held_up) = *load;
        let phase = (second as f64 / every).fract();
        let wave = 1.0 + 0.45 * (phase * std::f64::consts::TAU).sin();
        let held_up = phase > 1.0 - held_up;
        let median = median * if held_up { 14.0 } else { 0.9 + 0.2 * wave };
        let calls = calls * wave * if held_up { 0.5 } else { 1.0 };
        let mut below = 0.0;
        for slot in 0..SLOTS {
            // How many take at most so long: a bell over the logarithm, with a few that take far longer.
            let share = |median: f64, spread: f64| {
                let ns = hist::bound(slot) as f64;
                1.0 / (1.0 + ((median.ln() - ns.ln()) / spread).exp())
            };
            let part = 0.994 * share(median, spread) + 0.006 * share(median * 25.0, 0.6);
            let expected = (part - below) * calls;
            below = part;
            let n = (expected + self.chance()) as u64;
            let (all, hist) = &mut self.counted[index];
            *all += n;
            hist.slots[slot] += n;
            hist.sum += n * hist::bound(slot).min(hist::MAX);
        }
    }

    /// From 0 to 1: the low bits of a linear congruence are poor, so the high ones.
    fn chance(&mut self) -> f64 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) as f64 / f64::from(1_u32 << 31)
    }

    pub fn tell(&self, of: &mut Samples, second: u64) {
        for (load, (calls, hist)) in LOADS.iter().zip(&self.counted) {
            let Load(how, entry, geometry, _, pages, ..) = *load;
            let labels = [("how", how), ("entry", entry), ("geometry", geometry)];
            of.count("gup_calls_total", &labels, *calls);
            of.count("gup_pages_total", &labels, calls * pages);
            of.add(
                "gup_duration_seconds",
                &labels,
                Value::Durations(Box::new(*hist)),
            );
        }
        of.count(
            "gup_errors_total",
            &[("how", "pin"), ("entry", "fast"), ("errno", "EFAULT")],
            3,
        );
        of.count(
            "gup_errors_total",
            &[("how", "get"), ("entry", "remote"), ("errno", "EIO")],
            second / 97,
        );
    }
}
