//! One request to the collector and what its answer means. Imports its parent and `http`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::OtlpConfig;
use crate::http::{self, Connection, Whole};

/// Connecting, sending and the answer together.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer that is longer is not a collector's.
const LONGEST_ANSWER: usize = 64 * 1024;
/// Nobody is left alone for longer than this, whatever `Retry-After` says.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// Of an answer's text, for the log.
const SHOWN: usize = 200;
const HEAD_BYTES: usize = 16 * 1024;

/// A connection that is kept for the next request.
pub struct Line {
    sender: SendRequest<Whole>,
    task: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the collector said.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// It has it; of some it may have said that it does not take them, and why.
    Taken(Option<String>),
    /// This request is not to be sent again.
    Refused(String),
    /// Not now.
    Later {
        reason: String,
        after: Option<Duration>,
    },
    /// It cannot take this request, or so it says; that may be the fault of the request.
    Broken(String),
}

/// Posts `body` to `PATH/v1/SIGNAL`, on `line` where it still holds. Gives the connection back where it can be used again.
///
/// # Errors
/// There was no answer.
pub async fn post(
    config: Arc<OtlpConfig>,
    line: Option<Line>,
    signal: &'static str,
    body: Vec<u8>,
) -> (Option<Line>, Result<Answer, String>) {
    let body = Bytes::from(body);
    match tokio::time::timeout(PATIENCE, exchange(&config, line, signal, body)).await {
        Ok(Ok((line, answer))) => (Some(line), Ok(answer)),
        Ok(Err(reason)) => (None, Err(reason)),
        Err(_) => (
            None,
            Err(format!(
                "{} does not answer within {} s; check endpoint and network, and how busy the collector is",
                config.address(),
                PATIENCE.as_secs()
            )),
        ),
    }
}

async fn exchange(
    config: &OtlpConfig,
    line: Option<Line>,
    signal: &str,
    body: Bytes,
) -> Result<(Line, Answer), String> {
    if let Some(mut line) = line
        && line.sender.ready().await.is_ok()
        && let Ok(response) = send(config, &mut line, signal, body.clone()).await
    {
        let answer = answer(config, response).await?;
        return Ok((line, answer));
    }
    // One that was kept may have been closed at any moment.
    let mut line = open(config).await?;
    let response = send(config, &mut line, signal, body)
        .await
        .map_err(|error| no_answer(&error, config))?;
    let answer = answer(config, response).await?;
    Ok((line, answer))
}

async fn send(
    config: &OtlpConfig,
    line: &mut Line,
    signal: &str,
    body: Bytes,
) -> hyper::Result<Response<Incoming>> {
    let mut request = Request::new(Whole::new(body));
    *request.method_mut() = Method::POST;
    // The configuration has seen to it that this is a path.
    if let Ok(path) = format!("{}/v1/{signal}", config.path).parse() {
        *request.uri_mut() = path;
    }
    let head = request.headers_mut();
    for header in &config.headers {
        head.append(header.name.clone(), header.value.clone());
    }
    if let Ok(host) = config.authority().parse() {
        head.insert(HOST, host);
    }
    head.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let agent = concat!("anomalyd/", env!("CARGO_PKG_VERSION"));
    head.insert(USER_AGENT, HeaderValue::from_static(agent));
    line.sender.send_request(request).await
}

async fn open(config: &OtlpConfig) -> Result<Line, String> {
    let address = config.address();
    let stream = TcpStream::connect((config.host.as_str(), config.port))
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                format!("nothing listens at {address}; check endpoint, and that the collector runs")
            }
            _ => format!("{address} cannot be reached: {error}"),
        })?;
    // A request is written at once; it shall not wait for more. Where that cannot be, it does.
    let _ = stream.set_nodelay(true);
    match &config.tls {
        None => hand_shake(Connection::new(stream), config).await,
        Some(tls) => {
            let insecure = |error: &dyn std::fmt::Display| {
                format!(
                    "{address}: no secure connection ({error}); check that ca_file is the collector's CA \
                     and that endpoint has the name in its certificate"
                )
            };
            let name = ServerName::try_from(config.host.clone()).map_err(|e| insecure(&e))?;
            let stream = TlsConnector::from(Arc::clone(&tls.config))
                .connect(name, stream)
                .await
                .map_err(|error| insecure(&error))?;
            hand_shake(Connection::new(stream), config).await
        }
    }
}

async fn hand_shake<S>(stream: Connection<S>, config: &OtlpConfig) -> Result<Line, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .handshake(stream)
        .await
        .map_err(|error| no_answer(&error, config))?;
    let task = tokio::spawn(async move {
        // What goes wrong is seen by who waits for the answer.
        let _ = connection.await;
    });
    Ok(Line { sender, task })
}

fn no_answer(error: &hyper::Error, config: &OtlpConfig) -> String {
    let address = config.address();
    if error.is_parse() {
        return format!("{address} does not speak HTTP ({error}); check endpoint");
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return format!("{address} closed the connection without an answer");
    }
    format!("{address}: the connection broke ({error})")
}

async fn answer(config: &OtlpConfig, response: Response<Incoming>) -> Result<Answer, String> {
    let (head, body) = response.into_parts();
    let address = config.address();
    let body = http::read(body, LONGEST_ANSWER, PATIENCE)
        .await
        .map_err(|unread| match unread {
            http::Unread::TooLarge => {
                format!("{address} answers with more than a collector does; check endpoint")
            }
            _ => format!("{address} broke off its answer"),
        })?;
    Ok(meaning(&address, head.status, &head.headers, &body))
}

fn meaning(address: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Answer {
    if status.is_success() {
        return taken(address, status, headers, body);
    }
    let said = said(body);
    match status.as_u16() {
        400 | 413 | 422 => Answer::Refused(format!("{address} refuses it with {status}{said}")),
        401 | 403 => later(format!(
            "{address} does not let us in ({status}{said}); check headers_file"
        )),
        404 | 405 => later(format!(
            "{address} is no collector's address ({status}{said}); check endpoint, and that the \
             collector takes OTLP over HTTP"
        )),
        415 => later(format!(
            "{address} does not take OTLP in JSON ({status}{said})"
        )),
        429 | 502 | 503 | 504 => Answer::Later {
            reason: format!("{address} is busy ({status}{said})"),
            after: retry_after(headers),
        },
        500..=599 => Answer::Broken(format!("{address} fails ({status}{said})")),
        _ => later(format!("{address} answers {status}{said}; check endpoint")),
    }
}

fn later(reason: String) -> Answer {
    Answer::Later {
        reason,
        after: None,
    }
}

/// Something that answers 200 to everything, such as a log-in page, is no collector: it must not eat alarms.
fn taken(address: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Answer {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let is_protobuf = kind.is_some_and(|kind| kind.starts_with("application/x-protobuf"));
    if body.is_empty() || is_protobuf {
        return Answer::Taken(None);
    }
    let Ok(Value::Object(answer)) = serde_json::from_slice(body) else {
        return later(format!(
            "{address} answers {status}, but not as a collector does; check endpoint"
        ));
    };
    let partial = answer.get("partialSuccess");
    let rejected = ["rejectedLogRecords", "rejectedDataPoints"]
        .iter()
        .find_map(|key| partial?.get(key));
    // 64-bit numbers are text in the standard's JSON.
    let rejected = rejected
        .and_then(|count| match count {
            Value::String(text) => text.parse().ok(),
            count => count.as_u64(),
        })
        .unwrap_or(0);
    let message = partial.and_then(|partial| partial.get("errorMessage"));
    let message = message.and_then(Value::as_str).unwrap_or_default();
    Answer::Taken(match (rejected, message) {
        (0, "") => None,
        (0, message) => Some(format!("{address} says: {}", shown(message))),
        (count, message) => Some(format!(
            "{address} does not take {count} of what was sent: {}",
            shown(message)
        )),
    })
}

/// In seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            // One that is past is now.
            Duration::try_from(at.duration_since(jiff::Timestamp::now())).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// What an answer says for people, where it is text: `: no such token`.
fn said(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(status)) => match status.get("message") {
            Some(Value::String(message)) => message.clone(),
            _ => String::new(),
        },
        _ => String::new(),
    };
    match shown(&text) {
        text if text.is_empty() => text,
        text => format!(": {text}"),
    }
}

/// As much of a stranger's text as fits a line of the log.
fn shown(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(SHOWN).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        meaning(
            "http://c",
            StatusCode::from_u16(status).unwrap(),
            &map,
            body.as_bytes(),
        )
    }

    #[test]
    fn answers_mean_what_the_standard_says() {
        for body in [
            "",
            "{}",
            r#"{"partialSuccess":{}}"#,
            r#"{"partialSuccess":null}"#,
        ] {
            assert_eq!(of(200, &[], body), Answer::Taken(None), "{body}");
        }
        let protobuf = [("content-type", "application/x-protobuf")];
        assert_eq!(of(200, &protobuf, "\u{1}"), Answer::Taken(None));
        for count in ["\"2\"", "2"] {
            let body = format!(
                r#"{{"partialSuccess":{{"rejectedLogRecords":{count},"errorMessage":"too\nold"}}}}"#
            );
            let Answer::Taken(Some(text)) = of(200, &[], &body) else {
                panic!("{body}");
            };
            assert!(
                text.contains("does not take 2 of") && text.contains("too old"),
                "{text}"
            );
        }
        for (status, refused) in [
            (400, true),
            (413, true),
            (401, false),
            (404, false),
            (415, false),
        ] {
            let answer = of(status, &[], r#"{"code":3,"message":"no such thing"}"#);
            let (is_refused, text) = match answer {
                Answer::Refused(text) => (true, text),
                Answer::Later {
                    reason,
                    after: None,
                } => (false, reason),
                other => panic!("{other:?}"),
            };
            assert_eq!(is_refused, refused, "{text}");
            assert!(text.contains("no such thing"), "{text}");
        }
        assert!(matches!(of(500, &[], ""), Answer::Broken(_)));
    }

    #[test]
    fn a_page_that_answers_everything_is_no_collector() {
        for body in ["<html>log in</html>", "[]", "\"ok\"", "\u{fffd}"] {
            assert!(matches!(of(200, &[], body), Answer::Later { .. }), "{body}");
        }
    }

    #[test]
    fn a_collector_says_when_to_come_again() {
        let after = |text: &str| match of(503, &[("retry-after", text)], "") {
            Answer::Later { after, .. } => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("99999999"), Some(LONGEST_WAIT));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(after("Fri, 01 Jan 2100 00:00:00 GMT"), Some(LONGEST_WAIT));
        assert_eq!(after("soon"), None);
        assert_eq!(after("-1"), None);
    }
}
