//! One connection, from its first byte to its end.

use std::{
    convert::Infallible,
    io::ErrorKind,
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::{Request, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    Server,
    answer::{answer, later},
    connections::Place,
    counts::Reason,
    listener::{Peer, Stream},
    watched::Watched,
};
use crate::config::Limits;

/// The least that hyper's buffer may be.
const LEAST_BUFFER: usize = 8192;

/// A request that has not had its turn by then is told to come again. One moment serves all whose turn it is, in milliseconds.
const TURN: Duration = Duration::from_secs(2);

/// Serves a client until it is done, or cut.
pub async fn serve(server: Arc<Server>, stream: Stream, peer: Peer, place: Place) {
    let mut limits = server.limits();
    let longest = limits.connection_timeout;
    let talk = async {
        // Nothing is made for a client that says nothing: a flood costs little more than being accepted.
        let came = Instant::now();
        match timeout(limits.header_timeout, stream.speaks()).await {
            Err(_) => return Err(Reason::HeaderTimeout),
            // It went away.
            Ok(Err(_)) => return Ok(()),
            Ok(Ok(())) => place.step(),
        }
        limits.header_timeout = limits.header_timeout.saturating_sub(came.elapsed());
        match stream {
            Stream::Unix(stream) => http(&server, &limits, stream, peer, &place).await,
            Stream::Tcp(stream) => match server.web.get().and_then(|web| web.tls_config()) {
                None => http(&server, &limits, stream, peer, &place).await,
                Some(config) => {
                    let stream = Watched::new(stream);
                    let greeting = TlsAcceptor::from(config).accept(stream);
                    match timeout(limits.header_timeout, greeting).await {
                        Err(_) => Err(Reason::Handshake),
                        Ok(Err(error)) => {
                            log::debug!("no TLS with {peer}: {error}");
                            Err(Reason::Handshake)
                        }
                        Ok(Ok(stream)) => {
                            place.step();
                            http(&server, &limits, stream, peer, &place).await
                        }
                    }
                }
            },
        }
    };
    let end = tokio::select! {
        end = timeout(longest, talk) => end.unwrap_or(Err(Reason::Deadline)),
        // Counted where it was decided.
        () = place.displaced() => return,
    };
    if let Err(reason) = end {
        server.counts.cut(reason);
    }
}

async fn http(
    server: &Arc<Server>,
    limits: &Limits,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    place: &Place,
) -> Result<(), Reason> {
    let asked = std::sync::atomic::AtomicBool::new(false);
    let answered = service_fn(|request: Request<Incoming>| {
        asked.store(true, std::sync::atomic::Ordering::Relaxed);
        async move {
            place.step();
            let turn = timeout(TURN, server.turns().acquire_owned()).await;
            let reply = if let Ok(Ok(_turn)) = turn {
                let web = match peer {
                    // Who may open it, its permissions say.
                    Peer::Unix => None,
                    Peer::Tcp(_) => server.web.get(),
                };
                answer(server, &request, peer, web.as_deref()).await
            } else {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                server.counts.answered(request.uri().path(), status);
                later(status, "too many requests at one time\n")
            };
            place.step();
            Ok::<_, Infallible>(reply)
        }
    });
    let stream = Watched::new(stream);
    let end = http1::Builder::new()
        // Without a timer hyper's header timeout does nothing.
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.headers)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(LEAST_BUFFER))
        .serve_connection(TokioIo::new(stream), answered)
        .await;
    let Err(error) = end else {
        return Ok(());
    };
    log::debug!("a connection of {peer} ended: {error}");
    let asked = asked.into_inner();
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
    let stalled = cause.is_some_and(|cause: &std::io::Error| cause.kind() == ErrorKind::TimedOut);
    if error.is_timeout() && asked {
        // It was served, and then was idle.
        Ok(())
    } else if error.is_timeout() {
        Err(Reason::HeaderTimeout)
    } else if stalled {
        Err(Reason::Stalled)
    } else if error.is_parse() {
        Err(Reason::Malformed)
    } else {
        // It went away.
        Ok(())
    }
}
