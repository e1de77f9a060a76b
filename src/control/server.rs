//! The service's end of the control socket.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::LONGEST_LINE;
use super::protocol::{Answer, Request};

/// Read and write for the owner and the group.
const MODE: u32 = 0o660;
/// People and scripts at a time; more are turned away.
const CLIENTS: usize = 16;
/// A client that says nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait before accepting again after an error (too many open files).
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// A request, and where its answer goes.
pub type Asked = (Request, oneshot::Sender<Answer>);

/// The socket file, removed when this is dropped.
#[derive(Debug)]
struct Bound {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Gone already, perhaps with its folder.
        let _ = fs::remove_file(&self.path);
    }
}

/// Listens at `path` and passes requests to `asked`, until the returned future is dropped.
///
/// # Errors
/// The socket cannot be made: the folder is missing or not writable, or another service listens.
pub async fn serve(
    path: &Path,
    asked: mpsc::Sender<Asked>,
) -> io::Result<impl Future<Output = ()> + use<>> {
    let bound = bind(path).await?;
    Ok(accept(bound, asked))
}

async fn accept(bound: Bound, asked: mpsc::Sender<Asked>) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
            accepted = bound.listener.accept() => match accepted {
                Ok((client, _)) if clients.len() < CLIENTS => {
                    clients.spawn(answer(client, asked.clone()));
                }
                // Turned away by closing it.
                Ok(_) => {}
                Err(error) => {
                    log::warn!(target: "control", "{}: cannot accept a client: {error}", bound.path.display());
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            },
        }
    }
}

async fn bind(path: &Path) -> io::Result<Bound> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            if UnixStream::connect(path).await.is_ok() {
                let reason = "another anomalyd listens there";
                return Err(io::Error::new(io::ErrorKind::AddrInUse, reason));
            }
            // Left behind by a service that was killed.
            fs::remove_file(path)?;
        }
        Ok(_) => {
            let reason = "there is something that is not a socket";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, reason));
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    let bound = Bound {
        listener,
        path: path.to_owned(),
    };
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    Ok(bound)
}

/// Answers one client's lines until it has no more.
async fn answer(client: UnixStream, asked: mpsc::Sender<Asked>) {
    let (read, mut write) = client.into_split();
    let mut lines = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut lines).take(LONGEST_LINE);
        match timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await {
            Ok(Ok(1..)) => {}
            _ => return,
        }
        let answer = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => {
                let (back, answered) = oneshot::channel();
                if asked.send((request, back)).await.is_err() {
                    return;
                }
                answered
                    .await
                    .unwrap_or_else(|_| Answer::refused("the service is stopping"))
            }
            Err(error) => Answer::refused(format!("not a request: {error}")),
        };
        let Ok(mut text) = serde_json::to_vec(&answer) else {
            return;
        };
        text.push(b'\n');
        match timeout(PATIENCE, write.write_all(&text)).await {
            Ok(Ok(())) if line.ends_with(b"\n") => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::{ControlError, ask};
    use super::*;
    use std::os::unix::net::UnixStream as Blocking;

    async fn echo(mut asked: mpsc::Receiver<Asked>) {
        while let Some((request, back)) = asked.recv().await {
            let _ = back.send(Answer::done(format!("{request:?}")));
        }
    }

    async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        tokio::task::spawn_blocking(work).await.unwrap()
    }

    #[tokio::test]
    async fn requests_are_answered_and_nonsense_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let (sender, receiver) = mpsc::channel(1);
        let server = tokio::spawn(serve(&path, sender).await.unwrap());
        tokio::spawn(echo(receiver));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);

        let at = path.clone();
        let answer = on_a_thread(move || ask(&at, &Request::Reload))
            .await
            .unwrap();
        assert_eq!((answer.ok, answer.text.as_str()), (true, "Reload"));

        let at = path.clone();
        let lines = on_a_thread(move || {
            use std::io::{BufRead, Write};
            let mut client = Blocking::connect(at).unwrap();
            client
                .write_all(b"{\n\x00\xff\n{\"do\":\"status\"}\n")
                .unwrap();
            let lines = std::io::BufReader::new(client).lines().take(3);
            lines.map(Result::unwrap).collect::<Vec<_>>()
        })
        .await;
        assert!(lines[0].contains("not a request") && lines[1].contains("not a request"));
        assert!(lines[2].contains("Status"), "{lines:?}");

        let second = serve(&path, mpsc::channel(1).0).await;
        assert_eq!(second.err().unwrap().kind(), io::ErrorKind::AddrInUse);

        server.abort();
        let _ = server.await;
        assert!(!path.exists());
        let asked = on_a_thread(move || ask(&path, &Request::Status)).await;
        assert!(
            matches!(asked, Err(ControlError::NotRunning { .. })),
            "{asked:?}"
        );
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_another_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        drop(serve(&path, mpsc::channel(1).0).await.unwrap());
        fs::write(&path, "mine").unwrap();
        assert!(serve(&path, mpsc::channel(1).0).await.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}
