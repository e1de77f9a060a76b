//! What is answered to a request; what changes something is elsewhere (`change.rs`). Imports `control`,
//! `frame`, `history` and its siblings.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Version};
use serde_json::json;

use super::answer::{Answer, JSON, answer_json, empty, no_store, of, plain, wrong_method};
use super::body::Reply;
use super::change::{ask, change, is_signed_in};
use super::past::{LONGEST_SECONDS, past};
use super::server::Shared;
use super::{metrics, pages};
use crate::control;
use crate::frame::Timestamp;

/// A snapshot comes every few seconds; one that is older says that the service hangs.
const FRESH: Duration = Duration::from_secs(30);

/// With every answer. The page takes nothing from elsewhere and stands in no other page.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// Answers a request.
///
/// # Errors
/// Never.
pub async fn answer(
    shared: Arc<Shared>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let mut answer = route(&shared, peer, request).await;
    for (name, value) in HEADERS {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    Ok(answer)
}

async fn route(shared: &Arc<Shared>, peer: SocketAddr, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match path.as_str() {
        // Whoever checks on us may call us what they like.
        "/healthz" | "/readyz" if reads => return health(shared, &path),
        _ => {}
    }
    if !shared.names.know(request.headers()) {
        let why = match request.version() {
            Version::HTTP_10 | Version::HTTP_11 => {
                "this server is not known by that name; use its address, or name it in web.hosts\n"
            }
            _ => "HTTP/1.1 only\n",
        };
        return plain(StatusCode::MISDIRECTED_REQUEST, why);
    }
    match path.as_str() {
        "/healthz" | "/readyz" => wrong_method("GET, HEAD"),
        "/metrics" | "/api/events" | "/api/state" | "/api/history" | "/api/session" if !reads => {
            wrong_method("GET, HEAD")
        }
        "/metrics" => {
            let counts = shared.counts();
            let text = metrics::text(shared.board().snapshot(), &counts);
            of(
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                text,
            )
        }
        "/api/state" => of(StatusCode::OK, JSON, shared.board().hello().content),
        "/api/events" => events(shared, request.method() == Method::HEAD),
        "/api/history" => history(shared, request.uri().query().unwrap_or_default()).await,
        "/api/session" => {
            let session = json!({
                "password": shared.login.is_some(),
                "signed_in": is_signed_in(shared, request.headers()),
            });
            answer_json(StatusCode::OK, &session)
        }
        "/api/login" | "/api/logout" | "/api/ack" | "/api/mute" | "/api/unmute" => {
            match *request.method() {
                Method::POST => change(shared, peer, &path, request).await,
                _ => wrong_method("POST"),
            }
        }
        path => match pages::file(path) {
            Some(file) if reads => page(file, request.headers()),
            Some(_) => wrong_method("GET, HEAD"),
            None => plain(StatusCode::NOT_FOUND, "there is nothing here\n"),
        },
    }
}

fn page(file: &pages::File, headers: &HeaderMap) -> Answer {
    let known = headers.get(header::IF_NONE_MATCH);
    let mut answer = match known.is_some_and(|known| known.as_bytes() == file.tag.as_bytes()) {
        true => empty(StatusCode::NOT_MODIFIED),
        false => of(StatusCode::OK, file.kind, file.content),
    };
    let headers = answer.headers_mut();
    // Asked for again each time, and sent only when the program is another one.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&file.tag) {
        headers.insert(header::ETAG, tag);
    }
    answer
}

/// `/healthz`: the service works. `/readyz`: it watches, with a model and every source started.
fn health(shared: &Shared, path: &str) -> Answer {
    let board = shared.board();
    let snapshot = board.snapshot();
    let state = match snapshot {
        None => "starting",
        Some(snapshot) if snapshot.taken.elapsed() > FRESH => "stuck",
        Some(snapshot) => snapshot.status.state.as_str(),
    };
    let good = match (path, state) {
        (_, "stuck") => false,
        ("/readyz", state) => matches!(state, "watching" | "degraded"),
        _ => true,
    };
    let status = match good {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    plain(status, format!("{state}\n"))
}

fn events(shared: &Shared, head: bool) -> Answer {
    let first = shared.board().hello();
    let body = match head {
        true => Reply::Whole(None),
        false => match shared.clients.add(&first) {
            Some(events) => Reply::Events(events),
            None => {
                let why = "too many pages are open\n";
                return plain(StatusCode::SERVICE_UNAVAILABLE, why);
            }
        },
    };
    let mut answer = Response::new(body);
    let kind = HeaderValue::from_static("text/event-stream");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    no_store(&mut answer);
    answer
}

async fn history(shared: &Arc<Shared>, query: &str) -> Answer {
    let (mut seconds, mut sensor) = (86_400, None);
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match (name, decoded(value)) {
            ("seconds", Some(value)) => match value.parse() {
                Ok(number @ 1..=LONGEST_SECONDS) => seconds = number,
                _ => return plain(StatusCode::BAD_REQUEST, "seconds: a number up to 40 days\n"),
            },
            ("sensor", Some(value)) => sensor = Some(value),
            _ => return plain(StatusCode::BAD_REQUEST, "seconds=… and sensor=… only\n"),
        }
    }
    let Ok(_one) = shared.reads.try_acquire() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "busy; try again\n");
    };
    // What waits to be written is written, unless that was only just done.
    let _ = ask(shared, control::Request::History).await;
    let newest = shared.board().recent().last().map(|point| point.time);
    let state = shared.state.clone();
    let read = tokio::task::spawn_blocking(move || {
        let until = match newest {
            Some(time) => time,
            None => newest_kept(&state)?,
        };
        past(&state, until, seconds, sensor.as_deref())
    });
    match read.await {
        // It cannot fail to be put into JSON.
        Ok(Ok(past)) => of(
            StatusCode::OK,
            JSON,
            serde_json::to_string(&past).unwrap_or_default(),
        ),
        Ok(Err(error)) => {
            log::warn!(target: "web", "the history cannot be read: {error}");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "it cannot be read\n")
        }
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "reading it broke\n"),
    }
}

fn newest_kept(state: &std::path::Path) -> std::io::Result<Timestamp> {
    let mut newest = Timestamp::EPOCH;
    crate::history::read(state, &mut |plan, bucket| {
        newest = bucket.start.add_nanos(plan.bucket_nanos);
    })?;
    Ok(newest)
}

/// `%20` and `+` as the characters they stand for; none where it is no text.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let digits = std::str::from_utf8(after.get(..2)?).ok()?;
                rest = &after[2..];
                let digits = digits
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit())
                    .then_some(digits)?;
                u8::from_str_radix(digits, 16).ok()?
            }
            byte => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_or_refused() {
        assert_eq!(decoded("tank%201+a%C3%BC"), Some("tank 1 aü".to_owned()));
        for broken in ["%", "%2", "%zz", "%+1", "%ff"] {
            assert_eq!(decoded(broken), None, "{broken}");
        }
    }
}
