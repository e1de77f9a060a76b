//! What changes something: only by `POST`, only from a page of ours, only for who has signed in. It goes
//! the way of the control socket. Imports `control` and its siblings.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Request, StatusCode};
use serde::Deserialize;
use tokio::sync::oneshot;

use super::answer::{Answer, JSON, not_understood, said};
use super::body::{Unread, read};
use super::guard;
use super::login::{COOKIE, Refused, SESSION_LONGEST, token_of};
use super::server::Shared;
use crate::control::{self, VerdictWord};

/// How long the service may take to do what was asked.
const DESK_PATIENCE: Duration = Duration::from_secs(5);
/// As `anomalyd mute`.
const LONGEST_MUTE: u64 = 30 * 86_400;
const LONGEST_PASSWORD: usize = 1_024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Password {
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ack {
    alarm: String,
    #[serde(rename = "as")]
    verdict: VerdictWord,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mute {
    what: String,
    seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unmute {
    what: String,
}

pub async fn change(
    shared: &Arc<Shared>,
    peer: SocketAddr,
    path: &str,
    request: Request<Incoming>,
) -> Answer {
    let headers = request.headers().clone();
    if !guard::is_own(&headers) {
        return said(
            StatusCode::FORBIDDEN,
            false,
            "from this server's own page only",
        );
    }
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some(JSON) {
        return said(StatusCode::UNSUPPORTED_MEDIA_TYPE, false, "send JSON");
    }
    let Some(login) = &shared.login else {
        let why = "nothing can be changed here: no password is set (web.password_file)";
        return said(StatusCode::FORBIDDEN, false, why);
    };
    let open = path == "/api/login" || is_signed_in(shared, &headers);
    if !open {
        return said(StatusCode::UNAUTHORIZED, false, "sign in first");
    }
    let body = match read(request.into_body()).await {
        Ok(body) => body,
        Err(Unread::TooLarge) => {
            return said(StatusCode::PAYLOAD_TOO_LARGE, false, "that is too much");
        }
        Err(Unread::TooSlow) => {
            return said(StatusCode::REQUEST_TIMEOUT, false, "that took too long");
        }
        Err(Unread::Broken) => return said(StatusCode::BAD_REQUEST, false, "it broke off"),
    };
    let lock = || login.lock().unwrap_or_else(PoisonError::into_inner);
    match path {
        "/api/login" => {
            let Ok(Password { password }) = serde_json::from_slice(&body) else {
                return not_understood();
            };
            if password.len() > LONGEST_PASSWORD {
                return not_understood();
            }
            let signed = lock().sign_in(peer.ip(), &password, Instant::now());
            signed_in(shared, peer, signed)
        }
        "/api/logout" => {
            if let Some(token) = token(&headers) {
                lock().sign_out(token);
            }
            let mut answer = said(StatusCode::OK, true, "signed out");
            set_cookie(&mut answer, "", 0);
            answer
        }
        _ => {
            let request = match path {
                "/api/ack" => serde_json::from_slice(&body)
                    .ok()
                    .map(|Ack { alarm, verdict }| control::Request::Ack { alarm, verdict }),
                "/api/mute" => serde_json::from_slice(&body)
                    .ok()
                    .filter(|mute: &Mute| (1..=LONGEST_MUTE).contains(&mute.seconds))
                    .map(|Mute { what, seconds }| control::Request::Mute { what, seconds }),
                _ => serde_json::from_slice(&body)
                    .ok()
                    .map(|Unmute { what }| control::Request::Unmute { what }),
            };
            let Some(request) = request else {
                return not_understood();
            };
            match ask(shared, request).await {
                Some(answer) if answer.ok => said(StatusCode::OK, true, &answer.text),
                Some(answer) => said(StatusCode::CONFLICT, false, &answer.text),
                None => {
                    let why = "the service does not answer; try again";
                    said(StatusCode::SERVICE_UNAVAILABLE, false, why)
                }
            }
        }
    }
}

fn signed_in(shared: &Shared, peer: SocketAddr, signed: Result<String, Refused>) -> Answer {
    match signed {
        Ok(token) => {
            log::info!(target: "web", "{} signed in", peer.ip());
            let mut answer = said(StatusCode::OK, true, "signed in");
            set_cookie(&mut answer, &token, SESSION_LONGEST.as_secs());
            answer
        }
        Err(refused) => {
            shared.logins_failed.fetch_add(1, Ordering::Relaxed);
            match refused {
                Refused::Wait(seconds) => {
                    let why = format!("too many wrong passwords; try again in {seconds} s");
                    let mut answer = said(StatusCode::TOO_MANY_REQUESTS, false, &why);
                    let after = HeaderValue::from(seconds);
                    answer.headers_mut().insert(header::RETRY_AFTER, after);
                    answer
                }
                Refused::Wrong => {
                    log::warn!(target: "web", "{}: a wrong password", peer.ip());
                    said(StatusCode::UNAUTHORIZED, false, "that is not the password")
                }
                Refused::NoRandom => {
                    let why = "this system has no random numbers to sign in with";
                    said(StatusCode::SERVICE_UNAVAILABLE, false, why)
                }
            }
        }
    }
}

/// Asks the service, as the commands do on the control socket.
pub async fn ask(shared: &Shared, request: control::Request) -> Option<control::Answer> {
    let (back, answered) = oneshot::channel();
    let asked = async {
        shared.asked.send((request, back)).await.ok()?;
        answered.await.ok()
    };
    tokio::time::timeout(DESK_PATIENCE, asked).await.ok()?
}

fn token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    cookies
        .filter_map(|cookies| cookies.to_str().ok())
        .find_map(token_of)
}

pub fn is_signed_in(shared: &Shared, headers: &HeaderMap) -> bool {
    let (Some(login), Some(token)) = (&shared.login, token(headers)) else {
        return false;
    };
    let mut login = login.lock().unwrap_or_else(PoisonError::into_inner);
    login.knows(token, Instant::now())
}

fn set_cookie(answer: &mut Answer, token: &str, seconds: u64) {
    let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
}
