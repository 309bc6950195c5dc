//! What a session takes to begin, beside bpftrace with one kprobe.

use anyhow::Result;

use super::added;
use super::daemon::OURS;
use super::peers;
use super::process;
use super::script::{Does, How};
use crate::bench::reading::{Amount, Reading};
use crate::guest::session::Session;

pub fn all(tell: &mut dyn FnMut(Reading)) {
    // The first start fills the page cache.
    let ours = ours().and_then(|_| {
        added::rest();
        ours()
    });
    let row = |outcome: &Result<[u64; 2]>, at: usize| match outcome {
        Ok(both) => Ok(whole(both[at])),
        Err(error) => Err(anyhow::anyhow!("{error:#}")),
    };
    tell(Reading::new("session-start", OURS, row(&ours, 0)));
    tell(Reading::new("session-resident", OURS, row(&ours, 1)));
    added::rest();
    let theirs = theirs().and_then(|_| {
        added::rest();
        theirs()
    });
    tell(Reading::new("session-start", "bpftrace", row(&theirs, 0)));
    tell(Reading::new(
        "session-resident",
        "bpftrace",
        row(&theirs, 1),
    ));
}

/// CPU time until all is attached, and memory then: of everything that `trace` watches unasked.
fn ours() -> Result<[u64; 2]> {
    let session = Session::start(&[vec!["trace", "--json"]])?.remove(0);
    let took = [
        process::cpu(session.pid())?,
        process::resident(session.pid())?,
    ];
    session.end()?;
    Ok(took)
}

fn theirs() -> Result<[u64; 2]> {
    let peer = peers::bpftrace(
        &[("get_user_pages_fast", How::Kprobe)],
        Does::NothingAtCalls,
    )?;
    Ok([process::cpu(peer.pid())?, process::resident(peer.pid())?])
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn whole(count: u64) -> Amount {
    Amount::once(count as f64)
}
