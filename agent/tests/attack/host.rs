//! The process that is attacked: a made host behind the real server.

use std::{io::Read as _, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Result;
use daxscope::{
    config::{Config, Limits, Listen},
    load::Verdict,
    probes,
    serve::{
        Server,
        listener::Listener,
        source::{Readiness, Source},
        web::Web,
    },
    snapshot::{Kind, Sample, Snapshot, Value},
};
use daxscope_common::hist::{Hist, SLOTS};

/// Series of each metric with labels; with all of them a scrape is as long as one of a host with several geometries.
const EACH: usize = 12;

/// As by default, but for the times: an attack ends when they do.
fn limits() -> Limits {
    Limits {
        header_timeout: Duration::from_secs(2),
        connection_timeout: Duration::from_secs(8),
        ..Limits::default()
    }
}

/// Serves until its standard input ends; says where on its standard output.
pub fn serve(web: Option<&str>) -> ExitCode {
    // A panic of one task would only end its connection.
    let said = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        said(info);
        std::process::abort();
    }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let config = Config {
            limits: limits(),
            ..Config::default()
        };
        let web = web.map(|path| Web::read(&PathBuf::from(path)).expect("a web configuration"));
        let port = Listen::Tcp(([127, 0, 0, 1], 0).into());
        let listener = Listener::bind(&port, 0).expect("a port");
        println!("{}", listener.at());
        let server = Server::new(&config, web, Arc::new(Made(snapshot())));
        let (sender, stopped) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut vec![]);
            let _ = sender.send(());
        });
        server
            .serve(vec![listener], async {
                let _ = stopped.await;
            })
            .await;
    });
    ExitCode::SUCCESS
}

struct Made(Snapshot);

impl Source for Made {
    fn snapshot(&self) -> Snapshot {
        self.0.clone()
    }

    fn verdicts(&self) -> &[Verdict] {
        &[]
    }

    fn readiness(&self) -> Readiness {
        Readiness::default()
    }

    fn written(&self, _took: Duration) {}

    fn holders(&self) -> Option<Result<String>> {
        None
    }
}

/// Everything but what the server says of itself.
fn snapshot() -> Snapshot {
    let own = daxscope::serve::METRICS;
    let of_probes = probes::metrics().filter(|metric| !own.contains(metric));
    let series = of_probes.flat_map(|metric| {
        let each = if metric.labels.is_empty() { 1 } else { EACH };
        (0..each).map(move |index| Sample {
            metric,
            labels: metric
                .labels
                .iter()
                .map(|label| format!("{label}{index}"))
                .collect(),
            value: match metric.kind {
                Kind::Histogram(_) => Value::Durations(Box::new(Hist {
                    sum: 1 << 40,
                    slots: [index as u64; SLOTS],
                })),
                _ => Value::Count(index as u64),
            },
        })
    });
    Snapshot {
        samples: series.collect(),
    }
}
