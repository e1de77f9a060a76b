//! A Unix socket that any number of clients write lines to. Imports its siblings of stage ingest.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use log::{debug, info, warn};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use super::super::{IngestError, SourceContext, SourceState, stopped};
use super::LOG_TARGET;
use super::client::{self, Shared};
use super::rows::NdjsonRows;

/// Clients at a time. Each may need some megabytes if it sends the longest lines.
const CLIENTS: usize = 32;
/// Read and write for the owner and the group: whoever can write feeds the detector.
const MODE: u32 = 0o660;
/// How long to wait before accepting again after an error (too many open files).
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Serves clients until a stop, then removes the socket file.
pub(super) async fn serve(
    path: PathBuf,
    rows: NdjsonRows,
    ctx: &SourceContext,
) -> Result<(), IngestError> {
    let listener = bind(&path).await?;
    info!(target: LOG_TARGET, "listening on {}", path.display());
    ctx.status.set_state(SourceState::Connected);
    let shared = Arc::new(Shared::new(rows, ctx));
    let mut stop = ctx.stop.clone();
    let mut clients = JoinSet::new();
    let mut number = 0_u64;
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((client, _)) if clients.len() < CLIENTS => {
                    number += 1;
                    let place = format!("{} client {number}", path.display());
                    clients.spawn(serve_client(client, Arc::clone(&shared), place, stop.clone()));
                }
                Ok(_) => warn!(
                    target: LOG_TARGET,
                    "{}: a client was turned away, {CLIENTS} are connected already; close unused connections",
                    path.display()
                ),
                Err(error) => {
                    warn!(target: LOG_TARGET, "{}: cannot accept a client: {error}", path.display());
                    tokio::select! {
                        () = stopped(&mut stop) => break,
                        () = time::sleep(AFTER_ERROR) => {}
                    }
                }
            },
        }
    }
    // Each stops by itself and queues what it has read.
    while clients.join_next().await.is_some() {}
    drop(listener);
    // A file that stays behind is replaced at the next start.
    let _ = fs::remove_file(&path);
    Ok(())
}

async fn serve_client(
    client: UnixStream,
    shared: Arc<Shared>,
    place: String,
    stop: watch::Receiver<bool>,
) {
    debug!(target: LOG_TARGET, "{place} connected");
    match client::serve(client, shared, place.clone(), stop).await {
        Ok(()) => debug!(target: LOG_TARGET, "{place} closed"),
        Err(error) => info!(target: LOG_TARGET, "{place}: {error}"),
    }
}

/// Listens on `path`, in place of a socket file that nobody listens on any more.
async fn bind(path: &Path) -> Result<UnixListener, IngestError> {
    let listen_error = |source| IngestError::Listen {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(listen_error(error)),
        Ok(there) if !there.file_type().is_socket() => {
            return Err(IngestError::NotASocket {
                path: path.to_owned(),
            });
        }
        Ok(_) => match time::timeout(AFTER_ERROR, UnixStream::connect(path)).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Ok(Err(error)) => return Err(listen_error(error)),
            // A listener that is too busy to answer is one too.
            Ok(Ok(_)) | Err(_) => {
                return Err(IngestError::InUse {
                    path: path.to_owned(),
                });
            }
        },
    }
    // Moved into place when it has its mode, so that nobody else can connect before.
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let _ = fs::remove_file(&new);
    let listener = UnixListener::bind(&new).map_err(listen_error)?;
    fs::set_permissions(&new, Permissions::from_mode(MODE))
        .and_then(|()| fs::rename(&new, path))
        .map_err(listen_error)?;
    Ok(listener)
}
