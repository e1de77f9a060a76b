//! Pages that are kept up to date by server-sent events. One that does not take what it is sent is
//! let go; its browser comes back by itself and is told everything anew. Imports its siblings only.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::body::Bytes;
use tokio::sync::mpsc;

use super::board::Message;

/// Pages at a time.
const MOST_CLIENTS: usize = 16;
/// Messages that may wait for a page; some are sent each second.
const WAITING: usize = 32;
/// A browser that lost its connection comes back after so long.
const RETRY_MS: u32 = 3_000;

#[derive(Debug, Default)]
pub struct Clients(Mutex<Vec<mpsc::Sender<Bytes>>>);

impl Clients {
    /// What a further page is sent from now on, beginning with `first`; none where there are
    /// too many.
    pub fn add(&self, first: &Message) -> Option<mpsc::Receiver<Bytes>> {
        let mut clients = self.lock();
        clients.retain(|client| !client.is_closed());
        if clients.len() >= MOST_CLIENTS {
            return None;
        }
        let (sender, receiver) = mpsc::channel(WAITING);
        let begin = format!("retry: {RETRY_MS}\n\n{}", text(first));
        sender.try_send(begin.into()).ok()?;
        clients.push(sender);
        Some(receiver)
    }

    pub fn len(&self) -> usize {
        let clients = self.lock();
        clients.iter().filter(|client| !client.is_closed()).count()
    }

    pub fn tell(&self, message: &Message) {
        self.send(text(message).into());
    }

    /// Shows that the connection is alive, and finds those that are not.
    pub fn keep_alive(&self) {
        self.send(Bytes::from_static(b":\n\n"));
    }

    fn send(&self, bytes: Bytes) {
        self.lock()
            .retain(|client| client.try_send(bytes.clone()).is_ok());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<mpsc::Sender<Bytes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// JSON has no line feed, so that a message is one line.
fn text(message: &Message) -> String {
    format!("event: {}\ndata: {}\n\n", message.event, message.content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            event: "point",
            content: "{}".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_page_that_sleeps_is_let_go_and_the_others_are_told() {
        let clients = Clients::default();
        let sleeper = clients.add(&message()).unwrap();
        let mut reader = clients.add(&message()).unwrap();
        let first = reader.recv().await.unwrap();
        assert_eq!(first, "retry: 3000\n\nevent: point\ndata: {}\n\n");
        for _ in 0..2 * WAITING {
            clients.tell(&message());
            reader.recv().await.unwrap();
        }
        assert_eq!(clients.len(), 1);
        drop(sleeper);
        clients.keep_alive();
        assert_eq!(reader.recv().await.unwrap(), ":\n\n");
        drop(reader);
        clients.keep_alive();
        assert_eq!(clients.len(), 0);
    }

    #[test]
    fn there_are_only_so_many() {
        let clients = Clients::default();
        let kept: Vec<_> = (0..MOST_CLIENTS).map(|_| clients.add(&message())).collect();
        assert!(kept.iter().all(Option::is_some));
        assert!(clients.add(&message()).is_none());
        drop(kept);
        assert!(clients.add(&message()).is_some());
    }
}
