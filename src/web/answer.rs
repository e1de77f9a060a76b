//! Answers as they are put together. Imports its siblings only.

use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::body::Reply;

pub type Answer = Response<Reply>;

const TEXT: &str = "text/plain; charset=utf-8";
pub const JSON: &str = "application/json";

pub fn of(
    status: StatusCode,
    kind: &'static str,
    content: impl Into<hyper::body::Bytes>,
) -> Answer {
    let mut answer = Response::new(Reply::of(content));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    no_store(&mut answer);
    answer
}

pub fn no_store(answer: &mut Answer) {
    let no_store = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(header::CACHE_CONTROL, no_store);
}

pub fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Reply::Whole(None));
    *answer.status_mut() = status;
    answer
}

pub fn plain(status: StatusCode, text: impl Into<hyper::body::Bytes>) -> Answer {
    of(status, TEXT, text)
}

pub fn answer_json(status: StatusCode, value: &Value) -> Answer {
    of(status, JSON, value.to_string())
}

/// What came of a change, for the page to show.
pub fn said(status: StatusCode, ok: bool, text: &str) -> Answer {
    answer_json(status, &json!({ "ok": ok, "text": text }))
}

pub fn not_understood() -> Answer {
    said(StatusCode::BAD_REQUEST, false, "that was not understood")
}

pub fn wrong_method(allowed: &'static str) -> Answer {
    let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "not with that method\n");
    let allowed = HeaderValue::from_static(allowed);
    answer.headers_mut().insert(header::ALLOW, allowed);
    answer
}
