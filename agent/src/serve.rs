//! HTTP: `/metrics`, `/healthz`, `/holders` for this host only, and a page for people at `/`.

pub mod source;

use std::{
    convert::Infallible,
    future::Future,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};

use self::source::Source;
use crate::{
    holders::ask,
    metrics,
    page::{self, History, Shown},
    probes,
};

/// A client that has not sent its request by then is cut off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// No connection lives longer: a scrape takes milliseconds.
const CONNECTION_TIMEOUT: Duration = Duration::from_mins(1);
/// Connections at one time; more wait to be accepted.
const CONNECTIONS: usize = 32;

type Reply = Response<Full<Bytes>>;

/// Serves until `stopped` is ready; open connections are dropped then.
pub async fn serve(
    listener: TcpListener,
    source: Arc<dyn Source>,
    stopped: impl Future<Output = ()>,
) {
    let accepting = async {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else {
                return;
            };
            let (stream, peer) = match listener.accept().await {
                Ok((stream, peer)) => (stream, peer.ip()),
                Err(error) => {
                    // Out of file descriptors, say: it passes, and the probes go on counting.
                    log::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let source = source.clone();
            tokio::spawn(async move {
                let answer = service_fn(move |request: Request<Incoming>| {
                    let reply = reply(&request, peer, &*source);
                    async move { Ok::<_, Infallible>(reply) }
                });
                // Without a timer hyper's header timeout does nothing.
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .max_buf_size(16 * 1024)
                    .serve_connection(TokioIo::new(stream), answer);
                if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
                    log::debug!("connection ended: {error}");
                }
                drop(permit);
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stopped => {}
    }
}

fn reply(request: &Request<Incoming>, peer: IpAddr, source: &dyn Source) -> Reply {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        reply
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return reply;
    }
    match request.uri().path() {
        "/metrics" => match scrape(source) {
            Ok(body) => typed(StatusCode::OK, metrics::CONTENT_TYPE, body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}\n")),
        },
        "/healthz" => text(StatusCode::OK, "ok\n"),
        ask::PATH => holders(peer, source),
        path => match shown(path, source) {
            Some(asset) => typed(StatusCode::OK, asset.media, asset.body),
            None => text(
                StatusCode::NOT_FOUND,
                "not found: try /metrics, /healthz or /\n",
            ),
        },
    }
}

/// The text of this moment. How long it took to make is for the next scrape to tell.
fn scrape(source: &dyn Source) -> Result<String> {
    let snapshot = source.snapshot();
    let began = Instant::now();
    let text = metrics::encode(probes::metrics(), snapshot)?;
    source.written(began.elapsed());
    Ok(text)
}

/// A part of the page for people.
fn shown(path: &str, source: &dyn Source) -> Option<page::Asset> {
    let history = History::default();
    let shown = Shown {
        snapshot: &source.snapshot(),
        at: Instant::now(),
        verdicts: source.verdicts(),
        readiness: &source.readiness(),
        history: &history,
    };
    page::asset(path, &shown)
}

/// Names of processes are not for whoever can reach the port.
fn holders(peer: IpAddr, source: &dyn Source) -> Reply {
    if !peer.to_canonical().is_loopback() {
        let words = "holders are told to this host only, by a loopback address\n";
        return text(StatusCode::FORBIDDEN, words);
    }
    match source.holders() {
        Some(Ok(told)) => typed(StatusCode::OK, "application/json", told),
        Some(Err(error)) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}\n")),
        None => text(
            StatusCode::NOT_FOUND,
            "holders are not tracked: start the daemon with `daxscope run --track-holders`\n",
        ),
    }
}

fn text(status: StatusCode, body: &str) -> Reply {
    typed(status, "text/plain; charset=utf-8", body.to_owned())
}

fn typed(status: StatusCode, media: &'static str, body: String) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media));
    reply
}
