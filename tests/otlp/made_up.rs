//! A collector that answers what a test tells it to, and keeps what it was sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// One request.
#[derive(Debug, Clone)]
pub struct Came {
    pub at: Instant,
    pub head: String,
    pub path: String,
    pub body: Value,
}

impl Came {
    /// The log records in it.
    pub fn records(&self) -> Vec<Value> {
        let scope = &self.body["resourceLogs"][0]["scopeLogs"][0];
        scope["logRecords"].as_array().cloned().unwrap_or_default()
    }
}

/// What to answer to a request.
pub type Say = dyn Fn(&Came) -> Reply + Send + Sync;

pub enum Reply {
    /// Status and further lines of the head, and the body.
    Http(String, String),
    /// These bytes, and the connection is closed.
    Raw(Vec<u8>),
    /// Nothing for this long, then the connection is closed.
    Late(Duration),
}

pub fn ok() -> Reply {
    Reply::Http(
        "200 OK\r\nContent-Type: application/json".into(),
        r#"{"partialSuccess":{}}"#.into(),
    )
}

pub struct MadeUp {
    pub port: u16,
    came: Arc<Mutex<Vec<Came>>>,
    say: Arc<Mutex<Box<Say>>>,
}

impl MadeUp {
    pub fn new(say: impl Fn(&Came) -> Reply + Send + Sync + 'static) -> MadeUp {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let made_up = MadeUp {
            port: listener.local_addr().unwrap().port(),
            came: Arc::default(),
            say: Arc::new(Mutex::new(Box::new(say))),
        };
        let (came, say) = (Arc::clone(&made_up.came), Arc::clone(&made_up.say));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (came, say) = (Arc::clone(&came), Arc::clone(&say));
                std::thread::spawn(move || attend(stream.unwrap(), &came, &say));
            }
        });
        made_up
    }

    /// Says otherwise from now on.
    pub fn say(&self, say: impl Fn(&Came) -> Reply + Send + Sync + 'static) {
        *self.say.lock().unwrap() = Box::new(say);
    }

    pub fn came(&self, path: &str) -> Vec<Came> {
        let all = self.came.lock().unwrap();
        all.iter().filter(|one| one.path == path).cloned().collect()
    }
}

fn attend(stream: TcpStream, came: &Mutex<Vec<Came>>, say: &Mutex<Box<Say>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(one) = request(&mut reader) {
        // The answer is known before the request can be seen.
        let reply = say.lock().unwrap()(&one);
        came.lock().unwrap().push(one);
        let written = match reply {
            Reply::Http(head, body) => {
                let length = body.len();
                let text = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n{body}");
                stream.write_all(text.as_bytes())
            }
            Reply::Raw(bytes) => {
                let _ = stream.write_all(&bytes);
                return;
            }
            Reply::Late(wait) => {
                std::thread::sleep(wait);
                return;
            }
        };
        if written.is_err() {
            return;
        }
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<Came> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let length = head
        .to_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Came {
        at: Instant::now(),
        path: head.split(' ').nth(1)?.to_owned(),
        head,
        body: serde_json::from_slice(&body).unwrap(),
    })
}
