//! A small HTTP client that can also be rude.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::daemon::{Daemon, PATIENCE};

/// Where the page of `daemon` is, by its log.
pub fn address(daemon: &Daemon) -> SocketAddr {
    let begin = "page and metrics at http://";
    daemon.until_log(begin);
    let log = daemon.log();
    let (_, rest) = log.rsplit_once(begin).unwrap();
    rest.split(',').next().unwrap().parse().unwrap()
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

pub fn get(at: SocketAddr, path: &str) -> Answer {
    request(at, &format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n"))
}

/// Sends `body` to `path` as a page of ours would, with more headers (each with its end of line).
pub fn post(at: SocketAddr, path: &str, body: &str, more: &str) -> Answer {
    let length = body.len();
    request(
        at,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: {at}\r\nOrigin: http://{at}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{more}\r\n{body}"
        ),
    )
}

/// Sends `text` as it is.
pub fn request(at: SocketAddr, text: &str) -> Answer {
    try_request(at, text.as_bytes()).unwrap()
}

/// As [`request`]; none where the connection ended without an answer.
pub fn try_request(at: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(at).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // It may be cut short.
    let _ = stream.write_all(bytes);
    read_answer(&mut BufReader::new(stream), bytes.starts_with(b"HEAD"))
}

pub fn read_answer(reader: &mut impl BufRead, head: bool) -> Option<Answer> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let answer = Answer {
        status,
        headers,
        text: String::new(),
    };
    let length = answer.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; if head || status == 304 { 0 } else { length }];
    reader.read_exact(&mut body).ok()?;
    let text = String::from_utf8(body).unwrap();
    Some(Answer { text, ..answer })
}

/// The events that a page is sent.
pub struct Events(BufReader<TcpStream>);

impl Events {
    pub fn open(at: SocketAddr) -> Events {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /api/events HTTP/1.1\r\nHost: {at}\r\n\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let answer = read_answer(&mut reader, true).unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/event-stream");
        Events(reader)
    }

    /// The next event of that name.
    pub fn until(&mut self, name: &str) -> Value {
        let wanted = format!("event: {name}\n");
        loop {
            let line = self.line();
            if line == wanted {
                let data = self.line();
                return serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            }
        }
    }

    /// The next line, without the frame of a chunk.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.0.read_line(&mut line).unwrap();
            assert!(read > 0, "the events ended");
            if !line.ends_with("\r\n") {
                return line;
            }
        }
    }
}

/// Waits until the other end has closed `stream`, at most for `patience`.
pub fn closes_within(stream: &mut TcpStream, patience: Duration) -> bool {
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let started = std::time::Instant::now();
    let mut bytes = [0; 65_536];
    while started.elapsed() < patience {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return true,
        }
    }
    false
}
