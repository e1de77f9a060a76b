//! Who has signed in. Passwords and tokens are compared by their hash, in a time that says nothing of
//! them; tries are limited, by address and all told. Imports nothing of the crate.

use std::collections::HashMap;
use std::hint::black_box;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

type Hash = [u8; 32];

/// Wrong passwords that one address may try in a span, and all together.
const TRIES: u32 = 5;
const TRIES_OF_ALL: u32 = 30;
const SPAN: Duration = Duration::from_secs(60);
/// Addresses that are remembered; with more, only the limit of all counts for the rest.
const ADDRESSES: usize = 256;
/// People at a time; the one who was away longest has to sign in again.
const SESSIONS: usize = 32;
const SESSION_IDLE: Duration = Duration::from_secs(12 * 3_600);
pub const SESSION_LONGEST: Duration = Duration::from_secs(7 * 86_400);
pub const COOKIE: &str = "anomalyd";

/// The password's hash, the tries and the sessions.
pub struct Login {
    password: Hash,
    tries: HashMap<IpAddr, Tries>,
    all: Tries,
    /// By the hash of their token.
    sessions: HashMap<Hash, Session>,
}

#[derive(Default)]
struct Tries {
    since: Option<Instant>,
    failed: u32,
}

struct Session {
    begun: Instant,
    used: Instant,
}

/// Why nobody was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Too many tries; again after so many seconds.
    Wait(u64),
    Wrong,
    /// The system has no random numbers.
    NoRandom,
}

impl Login {
    pub fn new(password: &str) -> Self {
        Login {
            password: hash(password.as_bytes()),
            tries: HashMap::new(),
            all: Tries::default(),
            sessions: HashMap::new(),
        }
    }

    /// A new session's token, for who knows the password.
    ///
    /// # Errors
    /// The password is wrong, or there were too many tries.
    pub fn sign_in(
        &mut self,
        address: IpAddr,
        password: &str,
        now: Instant,
    ) -> Result<String, Refused> {
        self.tries.retain(|_, tries| !tries.is_over(now));
        let limits = [
            (Some(&self.all), TRIES_OF_ALL),
            (self.tries.get(&address), TRIES),
        ];
        let waits = limits
            .iter()
            .filter_map(|(tries, most)| tries.and_then(|t| t.wait(now, *most)));
        if let Some(seconds) = waits.max() {
            return Err(Refused::Wait(seconds));
        }
        if !same(&hash(password.as_bytes()), &self.password) {
            self.all.fail(now);
            if self.tries.len() < ADDRESSES || self.tries.contains_key(&address) {
                self.tries.entry(address).or_default().fail(now);
            }
            return Err(Refused::Wrong);
        }
        self.tries.remove(&address);
        let token = token().ok_or(Refused::NoRandom)?;
        self.forget(now);
        if self.sessions.len() >= SESSIONS
            && let Some(oldest) = self.sessions.iter().min_by_key(|(_, session)| session.used)
        {
            let oldest = *oldest.0;
            self.sessions.remove(&oldest);
        }
        let session = Session {
            begun: now,
            used: now,
        };
        self.sessions.insert(hash(token.as_bytes()), session);
        Ok(token)
    }

    /// Whether `token` is that of a session; then it is used.
    pub fn knows(&mut self, token: &str, now: Instant) -> bool {
        self.forget(now);
        let session = self.sessions.get_mut(&hash(token.as_bytes()));
        session.map(|session| session.used = now).is_some()
    }

    pub fn sign_out(&mut self, token: &str) {
        self.sessions.remove(&hash(token.as_bytes()));
    }

    fn forget(&mut self, now: Instant) {
        self.sessions.retain(|_, session| {
            now.duration_since(session.used) < SESSION_IDLE
                && now.duration_since(session.begun) < SESSION_LONGEST
        });
    }
}

impl Tries {
    fn is_over(&self, now: Instant) -> bool {
        self.since
            .is_none_or(|since| now.duration_since(since) >= SPAN)
    }

    /// Seconds until another try, where there were `most`.
    fn wait(&self, now: Instant, most: u32) -> Option<u64> {
        let since = self
            .since
            .filter(|_| !self.is_over(now) && self.failed >= most)?;
        Some((SPAN - now.duration_since(since)).as_secs() + 1)
    }

    fn fail(&mut self, now: Instant) {
        if self.is_over(now) {
            *self = Tries {
                since: Some(now),
                failed: 0,
            };
        }
        self.failed += 1;
    }
}

/// The token that the `Cookie` header carries.
pub fn token_of(cookies: &str) -> Option<&str> {
    let mut pairs = cookies
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == COOKIE).then_some(value))
}

fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

fn same(one: &Hash, other: &Hash) -> bool {
    let pairs = one.iter().zip(other);
    black_box(pairs.fold(0, |difference, (a, b)| difference | (a ^ b))) == 0
}

fn token() -> Option<String> {
    let mut bytes = [0; 32];
    let provider = rustls::crypto::ring::default_provider();
    provider.secure_random.fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 168, 1, last])
    }

    #[test]
    fn who_knows_the_password_gets_a_token_that_ends() {
        let start = Instant::now();
        let mut login = Login::new("open sesame");
        let token = login.sign_in(address(1), "open sesame", start).unwrap();
        assert_eq!(token.len(), 64);
        assert_ne!(
            login.sign_in(address(1), "open sesame", start),
            Ok(token.clone())
        );
        assert!(login.knows(&token, start + SESSION_IDLE / 2));
        assert!(login.knows(&token, start + SESSION_IDLE));
        assert!(!login.knows(&token, start + SESSION_IDLE * 3));
        let token = login.sign_in(address(1), "open sesame", start).unwrap();
        login.sign_out(&token);
        assert!(!login.knows(&token, start));
        assert!(!login.knows("", start));
    }

    #[test]
    fn wrong_passwords_are_limited_by_address_and_all_told() {
        let start = Instant::now();
        let mut login = Login::new("right");
        for _ in 0..TRIES {
            assert_eq!(
                login.sign_in(address(1), "wrong", start),
                Err(Refused::Wrong)
            );
        }
        let refused = login.sign_in(address(1), "right", start);
        assert_eq!(refused, Err(Refused::Wait(61)));
        assert!(login.sign_in(address(2), "right", start).is_ok());
        assert!(login.sign_in(address(1), "right", start + SPAN).is_ok());

        let mut login = Login::new("right");
        for last in 0..TRIES_OF_ALL {
            let _ = login.sign_in(address(last as u8), "wrong", start);
        }
        let refused = login.sign_in(address(99), "right", start);
        assert!(matches!(refused, Err(Refused::Wait(_))), "{refused:?}");
    }

    #[test]
    fn there_are_only_so_many_sessions() {
        let start = Instant::now();
        let mut login = Login::new("p");
        let tokens: Vec<String> = (0..SESSIONS as u64 + 1)
            .map(|second| {
                let now = start + Duration::from_secs(second);
                login.sign_in(address(1), "p", now).unwrap()
            })
            .collect();
        let now = start + Duration::from_secs(60);
        assert!(!login.knows(&tokens[0], now));
        assert!(tokens[1..].iter().all(|token| login.knows(token, now)));
    }

    #[test]
    fn the_token_is_found_among_cookies() {
        assert_eq!(token_of("a=1; anomalyd=abc; b=2"), Some("abc"));
        assert_eq!(token_of("xanomalyd=abc"), None);
        assert_eq!(token_of("anomalyd"), None);
    }
}
