//! What watching adds to `memremap_pages`: to a device's driver that comes back, as a share of that function's own time.

use anyhow::{Result, ensure};

use super::added;
use super::clock;
use super::figure::Figure;
use super::watch::{self, Watch};
use crate::bench::reading::Amount;
use crate::guest::region::Device;
use crate::guest::scrape::Scrape;

/// Times that the device goes and comes.
const TIMES: u64 = 15;

/// In percent. `base`: instructions of one call of `memremap_pages` by the agent's own clock.
pub fn share(device: &Device) -> Result<Amount> {
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
    let base = before.median.min(after.median);
    Ok(Amount {
        value: (with.median - base) / own * 100.0,
        spread: (with.spread + before.spread.max(after.spread)) / own * 100.0,
        base: Some(own),
    })
}

/// Instructions of giving the device back to its driver.
fn binds(device: &Device) -> Result<Figure> {
    let one = || -> Result<u64> {
        device.unbind()?;
        added::rest();
        let begun = clock::now();
        device.bind()?;
        let took = clock::now() - begun;
        added::rest();
        Ok(took)
    };
    one()?;
    one()?;
    Figure::of((0..TIMES).map(|_| one()).collect::<Result<_>>()?, 1)
}

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
