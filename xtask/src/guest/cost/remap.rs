//! What watching adds to `memremap_pages`: to a device's driver that comes back, as a share of that function's own time.

use anyhow::{Result, ensure};

use super::added;
use super::clock;
use super::figure::Figure;
use super::watch::{self, Watch};
use crate::bench::reading::Amount;
use crate::guest::host::Sysctl;
use crate::guest::region::Device;
use crate::guest::scrape::Scrape;

/// Times that the device goes and comes.
const TIMES: u64 = 24;

/// In percent. `base`: instructions of one call of `memremap_pages` by the agent's own clock.
pub fn share(device: &Device) -> Result<Amount> {
    added::settle(|| Ok(Box::new(watch::agent(&[])?)))?;
    // The kernel says a line each time, and waits for the console at each letter.
    let _quiet = Sysctl::set("kernel/printk", "1")?;
    let before = binds(device)?;
    let agent = watch::agent(&["--mechanism", "fentry"])?;
    added::rest();
    let first = agent.scrape()?;
    let with = binds(device)?;
    let last = agent.scrape()?;
    Box::new(agent).stop()?;
    added::rest();
    let after = binds(device)?;
    let took = own_time(&last) - own_time(&first);
    let calls = calls(&last) - calls(&first);
    ensure!(
        calls >= TIMES,
        "the agent saw memremap_pages {calls} times, not {TIMES}"
    );
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let own = took * 1e9 / calls as f64;
    Ok(Amount {
        value: (with.median - before.median.min(after.median)) / own * 100.0,
        spread: (before.median - after.median).abs() / own * 100.0,
        base: Some(own),
    })
}

/// Instructions of giving the device back to its driver. Two or three timer ticks fall into it, each a tenth
/// of a percent of it; so its beginnings are spread evenly between two ticks.
fn binds(device: &Device) -> Result<Figure> {
    let one = |number: u64| -> Result<u64> {
        device.unbind()?;
        // Sleepers wake at a tick.
        added::rest();
        clock::spend(number * TICK / TIMES);
        let begun = clock::now();
        device.bind()?;
        let took = clock::now() - begun;
        added::rest();
        Ok(took)
    };
    (0..3).try_for_each(|_| one(0).map(drop))?;
    Figure::of((0..TIMES).map(one).collect::<Result<_>>()?, 1)
}

/// Instructions between two of them; HZ is 250 in Debian's kernels.
const TICK: u64 = 4_000_000;

const TIME: &str = "daxscope_memremap_duration_seconds";

/// Seconds inside `memremap_pages` so far, none before the first call; on the guest's clock, where an instruction takes a
/// nanosecond.
fn own_time(scrape: &Scrape) -> f64 {
    let name = format!("{TIME}_sum");
    let sums = scrape.series(&name, &[]);
    sums.map(|(_, sum)| sum).sum()
}

fn calls(scrape: &Scrape) -> u64 {
    scrape.total(&format!("{TIME}_count"), &[])
}
