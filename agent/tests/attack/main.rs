//! The server under attack: a process of its own that serves a made host on loopback, clients that mean ill, and one that only
//! wants to scrape. While they go on, that one must be served, each time within 100 ms (p99); afterwards the process must have
//! as many file descriptors as before, and no more memory.
//!
//! It has no harness, since it is the server too: `attack serve` is what the test starts.

mod client;
mod crowd;
mod healthy;
mod host;
#[path = "../support/made.rs"]
mod made;
mod malformed;
mod process;
mod tls;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::{client::Target, healthy::Healthy, process::Process};

/// What a healthy scrape may take while others attack, of 99 in 100.
const PATIENCE: Duration = Duration::from_millis(100);
/// Memory that may have stayed with the process, after all attacks: less than 100 bytes for each thousandth of what came.
const KEPT: u64 = 4 << 20;

/// An attack: its name, and what it does to a target, as large as that part of its full size.
type Attack = (&'static str, fn(&Target, f64) -> Result<String, String>);

static PLAIN: [Attack; 7] = [
    ("malformed", malformed::plain),
    ("large heads", malformed::large),
    ("slow", crowd::slow),
    ("flood", crowd::flood),
    ("idle", crowd::idle),
    ("deaf readers", crowd::deaf),
    ("everything wanted", crowd::eager),
];
static GUARDED: [Attack; 5] = [
    ("no TLS", malformed::no_tls),
    ("malformed", malformed::inside),
    ("half greetings", crowd::half_greeted),
    ("flood", crowd::flood),
    ("wrong passwords", crowd::passwords),
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("serve") {
        return host::serve(args.next().as_deref());
    }
    process::allow_many_files();
    let mut failed = 0;
    let mut passed = 0;
    println!("\nrunning the server under attack");
    for (name, guarded, attacks) in [
        ("plain", false, &PLAIN[..]),
        ("guarded", true, &GUARDED[..]),
    ] {
        let mut tell = |result: Result<String, String>| match result {
            Ok(line) => {
                passed += 1;
                println!("{name}: {line}");
            }
            Err(why) => {
                failed += 1;
                println!("{name}: FAILED: {why}");
            }
        };
        if let Err(why) = under(guarded, attacks, &mut tell) {
            tell(Err(why));
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out"
    );
    ExitCode::from(u8::from(failed > 0))
}

/// Runs all attacks against one process, and tells how each went.
fn under(
    guarded: bool,
    attacks: &[Attack],
    tell: &mut impl FnMut(Result<String, String>),
) -> Result<(), String> {
    let process = Process::start(guarded)?;
    let target = process.target();
    // Small ones first: what the process keeps for its next clients is no growth.
    for (name, attack) in attacks {
        attack(target, 0.02).map_err(|why| format!("{name}, small: {why}"))?;
    }
    process.calm(target)?;
    let before = process.size()?;
    for (name, attack) in attacks {
        let (began, busy) = (Instant::now(), process.busy());
        let healthy = Healthy::start(target);
        let said = attack(target, 1.0);
        let scrapes = healthy.stop();
        let took = began.elapsed().as_secs_f64();
        let busy = process.busy() - busy;
        process.lives().map_err(|why| format!("{name}: {why}"))?;
        let line = said.and_then(|said| Ok((said, scrapes?)));
        let line = line.and_then(|(said, scrapes)| {
            let line = format!("{said} in {took:.1} s, {busy:.1} s of a processor; {scrapes}");
            if scrapes.p99() > PATIENCE {
                return Err(format!("{line}: more than {PATIENCE:?}"));
            }
            Ok(line)
        });
        let named = |words: String| format!("{name}: {words}");
        tell(line.map(named).map_err(named));
    }
    process.calm(target)?;
    let after = process.size()?;
    let grown = after.resident.saturating_sub(before.resident);
    let line = format!(
        "left: {} file descriptors of {} before, {} KiB of {} KiB before",
        after.files,
        before.files,
        after.resident >> 10,
        before.resident >> 10
    );
    let same = after.files == before.files && grown <= KEPT;
    tell(if same { Ok(line) } else { Err(line) });
    println!("counted: {}", client::counted(target)?);
    process.stop()
}
