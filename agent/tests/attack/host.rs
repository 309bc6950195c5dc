//! The process that is attacked: a made host behind the real server.

use std::{io::Read as _, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use daxscope::{
    config::{Config, Limits, Listen},
    serve::{Server, listener::Listener, web::Web},
};

use crate::made::Made;

/// Series of each metric with labels; with all of them a scrape is as long as one of a host with several geometries.
const SERIES: u64 = 12;

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
        let server = Server::new(&config, web, Arc::new(Made::of("value", SERIES)));
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
