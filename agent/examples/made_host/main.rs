//! A host that is made up, served by the daemon's own server, for looking at the page and for scraping without a kernel:
//! `cargo run --example made_host`. It prints its address and ends with its standard input.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "made-up figures"
)]

mod host;

use std::{
    io::Read as _,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::Result;
use daxscope::{
    config::{Config, Listen},
    load::{Mechanism, Verdict},
    page::History,
    probes,
    serve::{
        Server,
        listener::Listener,
        source::{Readiness, Source},
        web::Web,
    },
    snapshot::Snapshot,
};

use host::Host;

/// What became of each point, as on Linux 6.12; on an ill host as under a strict policy.
fn verdicts(ill: bool) -> Vec<Verdict> {
    let verdict = |(family, point): (&'static probes::Family, &'static probes::Point)| {
        let name = point.name;
        let reason = match name {
            "pin_user_pages_fast_only" | "pin_user_pages_locked" | "get_user_pages_locked" => {
                format!("this kernel has no {name}")
            }
            "add_pages" => "not needed: __populate_section_memmap tells it".into(),
            "get_user_pages_remote" if ill => {
                "EACCES: perf_event_paranoid is 3, and a kprobe needs CAP_SYS_ADMIN then".into()
            }
            _ if name.starts_with("unpin_") => "not needed: gup_put_folio tells it".into(),
            _ => String::new(),
        };
        Verdict {
            family: family.name,
            point: name,
            number: point.number,
            symbol: point.symbols[0],
            mechanism: reason.is_empty().then_some(Mechanism::Fentry),
            required: reason.is_empty() || reason.starts_with("EACCES"),
            remedy: reason
                .starts_with("EACCES")
                .then_some("give the service CAP_SYS_ADMIN until its probes are attached"),
            reason,
        }
    };
    probes::points().map(verdict).collect()
}

fn readiness(ill: bool) -> Readiness {
    let layers = [
        (
            "capabilities",
            Ok("none left, none can be had again".to_owned()),
        ),
        ("no_new_privs", Ok("set".to_owned())),
        (
            "landlock",
            if ill {
                Err("this kernel has no Landlock".to_owned())
            } else {
                Ok("files, TCP, sockets and signals".to_owned())
            },
        ),
        (
            "seccomp",
            Ok("47 system calls are allowed; 20 others were tried and refused".to_owned()),
        ),
    ];
    Readiness {
        reasons: if ill {
            vec![
                "1 required probe is not attached: get_user_pages_remote".into(),
                "41 calls were lost in the last minute".into(),
            ]
        } else {
            vec![]
        },
        layers: layers.into(),
        self_test: Some(Ok("a pin of 16 pages was counted as 16 pages".into())),
        losses: if ill {
            vec!["41 missed_return (lost_total)".into()]
        } else {
            vec![]
        },
    }
}

/// It has been up for longer than a history lasts.
const UP: u64 = 2400;

struct Made {
    host: Mutex<Host>,
    began: Instant,
    verdicts: Vec<Verdict>,
}

impl Source for Made {
    fn snapshot(&self) -> Snapshot {
        let mut host = self.host.lock().expect("nobody panics with it");
        host.live(UP + self.began.elapsed().as_secs());
        host.snapshot()
    }

    fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    fn readiness(&self) -> Readiness {
        readiness(self.verdicts.iter().any(|verdict| verdict.remedy.is_some()))
    }

    fn written(&self, _: Duration) {}

    fn holders(&self) -> Option<Result<String>> {
        None
    }
}

/// As Prometheus would have read it.
fn history(host: &mut Host, now: Instant) -> History {
    let mut history = History::default();
    for second in (0..UP).step_by(15) {
        host.live(second);
        if let Some(at) = now.checked_sub(Duration::from_secs(UP - second)) {
            history.record(at, &host.snapshot());
        }
    }
    history
}

#[derive(clap::Parser)]
struct Args {
    /// One that has troubles
    #[arg(long)]
    ill: bool,
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: std::net::SocketAddr,
    #[arg(long, value_name = "FILE")]
    web_config: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = <Args as clap::Parser>::parse();
    let began = Instant::now();
    let mut host = Host::new(args.ill);
    let history = history(&mut host, began);
    let made = Made {
        host: Mutex::new(host),
        began,
        verdicts: verdicts(args.ill),
    };
    let web = args.web_config.as_deref().map(Web::read).transpose()?;
    let config = Config {
        listen: vec![Listen::Tcp(args.listen)],
        web_config: args.web_config,
        ..Config::default()
    };
    let server = Server::new(&config, web, Arc::new(made));
    server.remember(history);
    let listener = Listener::bind(&Listen::Tcp(args.listen), 0)?;
    println!("{}", listener.at());
    // It ends with whoever started it.
    let (gone, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut vec![]);
        drop(gone);
    });
    server
        .serve(vec![listener], async {
            let _ = ended.await;
        })
        .await;
    Ok(())
}
