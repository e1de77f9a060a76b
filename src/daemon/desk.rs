//! The service's side of the control socket: takes requests, and answers those that need no more than
//! a look at the session.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::control::{self, Answer, Asked};

/// Requests that may wait at a time; every client waits for its own.
const WAITING: usize = 16;

pub struct Desk {
    /// Where it listens, or would.
    path: PathBuf,
    server: Option<JoinHandle<()>>,
    sender: mpsc::Sender<Asked>,
    requests: mpsc::Receiver<Asked>,
    /// Who waits for a reload to be over.
    reloads: Vec<oneshot::Sender<Answer>>,
}

impl Desk {
    /// Listens at `path`. Where it cannot, the log says so and the service runs without it.
    pub async fn open(path: &Path) -> Self {
        let (sender, requests) = mpsc::channel(WAITING);
        let mut desk = Desk {
            path: PathBuf::new(),
            server: None,
            sender,
            requests,
            reloads: Vec::new(),
        };
        desk.listen(path).await;
        desk
    }

    /// Listens at `path` from now on (a reload may name another one).
    pub async fn listen(&mut self, path: &Path) {
        if path == self.path && self.server.is_some() {
            return;
        }
        self.close().await;
        self.path = path.to_owned();
        match control::serve(path, self.sender.clone()).await {
            Ok(server) => self.server = Some(tokio::spawn(server)),
            // Not run as a service: nothing made the folder, and nobody will ask.
            Err(error) if error.kind() == ErrorKind::NotFound => log::info!(
                target: "control",
                "no control socket: the folder of {} is not there",
                path.display()
            ),
            Err(error) => log::warn!(
                target: "control",
                "{}: no control socket, `anomalyd status` will not reach this service: {error}",
                path.display()
            ),
        }
    }

    /// Where others than the socket's clients may ask.
    pub fn sender(&self) -> mpsc::Sender<Asked> {
        self.sender.clone()
    }

    /// The next request.
    pub async fn next(&mut self) -> Asked {
        match self.requests.recv().await {
            Some(asked) => asked,
            // Never: `sender` lives as long as this.
            None => std::future::pending().await,
        }
    }

    /// Keeps who asked for a reload until it is over.
    pub fn wait_for_reload(&mut self, back: oneshot::Sender<Answer>) {
        self.reloads.push(back);
    }

    pub fn reload_is_over(&mut self, answer: &Answer) {
        for back in self.reloads.drain(..) {
            // The client may have given up.
            let _ = back.send(answer.clone());
        }
    }

    pub async fn close(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            // Its end removes the socket file.
            let _ = server.await;
        }
    }
}
