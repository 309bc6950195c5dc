//! The one client that means well: a new connection for each scrape, as from `curl`, which is the hardest to keep served.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use crate::client::{Target, status};

const EVERY: Duration = Duration::from_millis(5);
/// The last series of an exposition: with it, it is whole.
const LAST: &[u8] = b"daxscope_web_config_reload_failures_total";

pub struct Healthy {
    thread: thread::JoinHandle<Result<Scrapes, String>>,
    stop: Arc<AtomicBool>,
}

/// How long scrapes took, rising: in all, and less the time for which the server or this client was ready to run, and the
/// processors were busy with others. A machine that does other work too must not fail the server.
pub struct Scrapes {
    all: Vec<Duration>,
    own: Vec<Duration>,
}

impl Healthy {
    pub fn start(target: &Target) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = stop.clone();
        let request = target.request("/metrics");
        let own = Target {
            pid: target.pid,
            address: target.address,
            guard: target.guard.clone(),
        };
        let thread = thread::spawn(move || {
            let (mut all, mut own_times) = (vec![], vec![]);
            while !stopping.load(Relaxed) || all.is_empty() {
                let (began, before) = (Instant::now(), waited(own.pid));
                let answer = own.ask(request.as_bytes());
                let took = began.elapsed();
                all.push(took);
                own_times.push(took.saturating_sub(waited(own.pid).saturating_sub(before)));
                let answer = answer.map_err(|error| format!("a healthy scrape failed: {error}"))?;
                let whole = answer.windows(LAST.len()).any(|part| part == LAST);
                if status(&answer) != Some(200) || !whole {
                    let head =
                        String::from_utf8_lossy(&answer[..answer.len().min(80)]).into_owned();
                    return Err(format!(
                        "a healthy scrape was cut short at {} bytes, after {:?}: {head}",
                        answer.len(),
                        all.last()
                    ));
                }
                thread::sleep(EVERY);
            }
            all.sort_unstable();
            own_times.sort_unstable();
            Ok(Scrapes {
                all,
                own: own_times,
            })
        });
        Self { thread, stop }
    }

    pub fn stop(self) -> Result<Scrapes, String> {
        self.stop.store(true, Relaxed);
        let ended = self.thread.join();
        ended.map_err(|_| "the healthy client panicked")?
    }
}

impl Scrapes {
    pub fn p99(&self) -> Duration {
        at(&self.own, 99)
    }
}

fn at(rising: &[Duration], percent: usize) -> Duration {
    rising[(rising.len() * percent / 100).min(rising.len() - 1)]
}

impl fmt::Display for Scrapes {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ms = |of: Duration| of.as_secs_f64() * 1e3;
        write!(
            f,
            "{} healthy scrapes, p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms; without waiting for a processor p99 {:.1} ms",
            self.all.len(),
            ms(at(&self.all, 50)),
            ms(at(&self.all, 99)),
            ms(at(&self.all, 100)),
            ms(self.p99()),
        )
    }
}

/// For how long the server's thread and this one were ready to run, and did not (Documentation/scheduler/sched-stats.rst); 0
/// where the kernel does not tell.
fn waited(server: u32) -> Duration {
    let of = |path: String| {
        let text = std::fs::read_to_string(path).ok()?;
        text.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    let server = of(format!("/proc/{server}/task/{server}/schedstat"));
    let own = of("/proc/thread-self/schedstat".into());
    Duration::from_nanos(server.unwrap_or(0) + own.unwrap_or(0))
}
