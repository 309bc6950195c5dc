//! HTTP: `/metrics`, `/healthz`, `/holders` for this host only, and a page for people at `/`.

use std::{
    convert::Infallible,
    future::Future,
    net::IpAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
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

use crate::{
    holders::{ask, tell},
    load::{Mechanism, Probes},
    metrics, probes,
};

/// A client that has not sent its request by then is cut off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// No connection lives longer: a scrape takes milliseconds.
const CONNECTION_TIMEOUT: Duration = Duration::from_mins(1);
/// Connections at one time; more wait to be accepted.
const CONNECTIONS: usize = 32;

type Reply = Response<Full<Bytes>>;

/// Serves until `stopped` is ready; open connections are dropped then.
pub async fn serve(listener: TcpListener, probes: Arc<Probes>, stopped: impl Future<Output = ()>) {
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
            let probes = probes.clone();
            tokio::spawn(async move {
                let answer = service_fn(move |request: Request<Incoming>| {
                    let reply = reply(&request, peer, &probes);
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

fn reply(request: &Request<Incoming>, peer: IpAddr, probes: &Probes) -> Reply {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        reply
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return reply;
    }
    match request.uri().path() {
        "/metrics" => match scrape(probes) {
            Ok(body) => typed(StatusCode::OK, metrics::CONTENT_TYPE, body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}\n")),
        },
        "/healthz" => text(StatusCode::OK, "ok\n"),
        ask::PATH => holders(peer, probes),
        "/" => typed(StatusCode::OK, "text/html; charset=utf-8", page(probes)),
        _ => text(
            StatusCode::NOT_FOUND,
            "not found: try /metrics, /healthz or /\n",
        ),
    }
}

/// The text of this moment. How long it took to make is for the next scrape to tell.
fn scrape(probes: &Probes) -> Result<String> {
    let snapshot = probes::read(probes);
    let began = Instant::now();
    let text = metrics::encode(probes::metrics(), snapshot)?;
    let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    probes.exposition.store(took, Relaxed);
    Ok(text)
}

/// Names of processes are not for whoever can reach the port.
fn holders(peer: IpAddr, probes: &Probes) -> Reply {
    if let Some((status, words)) = refusal(peer, probes.holders) {
        return text(status, words);
    }
    match tell::tell(probes) {
        Ok(told) => typed(
            StatusCode::OK,
            "application/json",
            format!("{:#}\n", told.json()),
        ),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}\n")),
    }
}

/// Why somebody is not told who holds pins.
fn refusal(peer: IpAddr, tracked: bool) -> Option<(StatusCode, &'static str)> {
    if !peer.to_canonical().is_loopback() {
        let words = "holders are told to this host only, by a loopback address\n";
        return Some((StatusCode::FORBIDDEN, words));
    }
    let words = "holders are not tracked: start the daemon with `daxscope run --track-holders`\n";
    (!tracked).then_some((StatusCode::NOT_FOUND, words))
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

/// What is attached, and where the numbers are.
fn page(probes: &Probes) -> String {
    let mut rows = String::new();
    for verdict in &probes.verdicts {
        let by = verdict.mechanism.map_or("not attached", Mechanism::name);
        rows += "<tr>";
        for cell in [
            verdict.family,
            verdict.point,
            verdict.symbol,
            by,
            &verdict.reason,
        ] {
            rows += "<td>";
            rows += &escape(cell);
        }
        rows += "\n";
    }
    format!(
        "<!doctype html>\n<html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\"><title>daxscope</title>\n\
         <style>:root{{color-scheme:light dark}}body{{font:1rem system-ui;margin:2rem}}\
         table{{border-collapse:collapse}}th,td{{text-align:left;padding:.2rem .8rem}}\
         td{{border-top:1px solid #8888}}</style>\n\
         <h1>daxscope {}</h1>\n<p><a href=/metrics>/metrics</a> for Prometheus, \
         <a href=/healthz>/healthz</a> for whoever asks if it lives.\n\
         <table><tr><th>family<th>probe<th>function<th>by<th>reason</tr>\n{rows}</table>\n",
        crate::VERSION
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_for_this_host_and_only_if_they_are_tracked() {
        let status = |peer: &str, tracked| {
            let peer = peer.parse().expect("an address");
            refusal(peer, tracked).map(|(status, _)| status)
        };
        for here in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(status(here, true), None, "{here}");
            assert_eq!(status(here, false), Some(StatusCode::NOT_FOUND), "{here}");
        }
        for away in ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "0.0.0.0"] {
            assert_eq!(status(away, true), Some(StatusCode::FORBIDDEN), "{away}");
            assert_eq!(status(away, false), Some(StatusCode::FORBIDDEN), "{away}");
        }
    }
}
