//! What a request is answered with.

use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Body as _, Bytes, Incoming},
    header::{
        ALLOW, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
        CONTENT_TYPE, HOST, HeaderValue, REFERRER_POLICY, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
        X_CONTENT_TYPE_OPTIONS,
    },
};

use super::{
    Server, accepted,
    listener::Peer,
    moment::Wanted,
    web::{Claim, Web},
};
use crate::{holders::ask, page};

pub type Reply = Response<Full<Bytes>>;

/// The page takes nothing from elsewhere, runs nothing that is written in it, and is shown in no other page.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);
const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers a request; `web` is what clients are held to, `None` where nothing is asked of them.
pub async fn answer(
    server: &Server,
    request: &Request<Incoming>,
    peer: Peer,
    web: Option<&Web>,
) -> Reply {
    let path = request.uri().path();
    let mut reply = match refusal(request, web).await {
        Some(refusal) => refusal,
        None => routed(server, path, request.headers(), peer).await,
    };
    server.counts.answered(path, reply.status());
    let headers = reply.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    for (name, value) in web.iter().flat_map(|web| &web.headers) {
        headers.insert(name, value.clone());
    }
    reply
}

/// Why a request is not looked at any further.
async fn refusal(request: &Request<Incoming>, web: Option<&Web>) -> Option<Reply> {
    if web
        .and_then(|web| web.rate.as_ref())
        .is_some_and(|rate| !rate.admit(std::time::Instant::now()))
    {
        return Some(later(
            StatusCode::TOO_MANY_REQUESTS,
            "too many requests (rate_limit)\n",
        ));
    }
    if let Some(users) = web.and_then(|web| web.users.as_ref()) {
        match users.check(request.headers().get(AUTHORIZATION)).await {
            Claim::Right => {}
            Claim::Wrong => {
                let mut reply = text(
                    StatusCode::UNAUTHORIZED,
                    "who are you? (basic_auth_users)\n",
                );
                let basic = HeaderValue::from_static("Basic realm=\"daxscope\", charset=\"UTF-8\"");
                reply.headers_mut().insert(WWW_AUTHENTICATE, basic);
                return Some(reply);
            }
            Claim::Busy => {
                return Some(later(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too many passwords to check\n",
                ));
            }
        }
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        let allowed = HeaderValue::from_static("GET, HEAD");
        reply.headers_mut().insert(ALLOW, allowed);
        return Some(closing(reply));
    }
    if !request.body().is_end_stream() {
        let reply = text(
            StatusCode::PAYLOAD_TOO_LARGE,
            "no request here has a body\n",
        );
        return Some(closing(reply));
    }
    None
}

async fn routed(server: &Server, path: &str, headers: &HeaderMap, peer: Peer) -> Reply {
    let wanted = match path {
        "/metrics" => accepted::exposition(headers),
        "/readyz" => Wanted::Readiness,
        "/" => Wanted::Page,
        "/healthz" => return text(StatusCode::OK, "ok\n"),
        ask::PATH => return holders(server, headers, peer),
        other => return asset(other),
    };
    match server.moments.ask(wanted).await {
        Ok(made) => {
            let status = if made.good {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            let zipped = accepted::gzip(headers)
                .then(|| made.zipped().ok())
                .flatten();
            let encoded = zipped.is_some();
            let mut reply = typed(
                status,
                made.media,
                zipped.unwrap_or_else(|| made.plain.clone()),
            );
            if encoded {
                let gzip = HeaderValue::from_static("gzip");
                reply.headers_mut().insert(CONTENT_ENCODING, gzip);
            }
            let vary = HeaderValue::from_static("Accept, Accept-Encoding");
            reply.headers_mut().insert(VARY, vary);
            reply
        }
        Err(words) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{words}\n")),
    }
}

/// A part of the page that never changes.
fn asset(path: &str) -> Reply {
    let Some(asset) = page::asset(path) else {
        let words = "not found: try /metrics, /healthz, /readyz or /\n";
        return text(StatusCode::NOT_FOUND, words);
    };
    let mut reply = typed(StatusCode::OK, asset.media, asset.body.into());
    let day = HeaderValue::from_static("max-age=86400");
    reply.headers_mut().insert(CACHE_CONTROL, day);
    reply
}

/// Names of processes are not for whoever can reach the port.
fn holders(server: &Server, headers: &HeaderMap, peer: Peer) -> Reply {
    if !told_of_holders(peer, headers.get(HOST)) {
        let words = "holders are told to this host only, by a loopback address\n";
        return text(StatusCode::FORBIDDEN, words);
    }
    match server.source.holders() {
        Some(Ok(told)) => typed(StatusCode::OK, "application/json", told.into()),
        Some(Err(error)) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}\n")),
        None => text(
            StatusCode::NOT_FOUND,
            "holders are not tracked: start the daemon with `daxscope run --track-holders`\n",
        ),
    }
}

/// Only to peers of this host, and not by a name that somebody else may have made to point at it: a browser on this host would
/// carry the answer out (DNS rebinding).
fn told_of_holders(peer: Peer, host: Option<&HeaderValue>) -> bool {
    let Some(host) = host else {
        return peer.is_local();
    };
    let name = host.to_str().unwrap_or_default();
    let name = name.rsplit_once(':').map_or(name, |(name, port)| {
        // `[::1]` has colons too.
        if port.bytes().all(|byte| byte.is_ascii_digit()) {
            name
        } else {
            host.to_str().unwrap_or_default()
        }
    });
    let address = name.trim_start_matches('[').trim_end_matches(']');
    peer.is_local() && (name == "localhost" || address.parse::<std::net::IpAddr>().is_ok())
}

fn text(status: StatusCode, body: &str) -> Reply {
    typed(status, PLAIN, Bytes::from(body.to_owned()))
}

pub fn later(status: StatusCode, body: &str) -> Reply {
    let mut reply = text(status, body);
    let second = HeaderValue::from_static("1");
    reply.headers_mut().insert(RETRY_AFTER, second);
    reply
}

/// The last one of its connection: what follows it may be a body.
fn closing(mut reply: Reply) -> Reply {
    let close = HeaderValue::from_static("close");
    reply.headers_mut().insert(CONNECTION, close);
    reply
}

fn typed(status: StatusCode, media: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    let media = HeaderValue::from_static(media);
    reply.headers_mut().insert(CONTENT_TYPE, media);
    reply
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn holders_are_told_to_loopback_and_unix_peers_only() {
        let address = HeaderValue::from_static("127.0.0.1:9954");
        for local in ["127.0.0.1", "127.8.8.8", "::1"] {
            let peer = Peer::Tcp(local.parse().expect("an address"));
            assert!(told_of_holders(peer, Some(&address)), "{local}");
        }
        for far in ["192.0.2.1", "2001:db8::1", "fe80::1", "0.0.0.0"] {
            let peer = Peer::Tcp(far.parse().expect("an address"));
            assert!(!told_of_holders(peer, Some(&address)), "{far}");
        }
        assert!(told_of_holders(Peer::Unix, None));
    }

    #[test]
    fn a_name_that_may_be_anybodys_opens_nothing() {
        let peer = Peer::Tcp(IpAddr::from([127, 0, 0, 1]));
        for (host, told) in [
            ("127.0.0.1:9954", true),
            ("[::1]:9954", true),
            ("[::1]", true),
            ("localhost:9954", true),
            ("localhost", true),
            ("evil.example:9954", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            let value = HeaderValue::from_static(host);
            assert_eq!(told_of_holders(peer, Some(&value)), told, "{host}");
        }
    }
}
