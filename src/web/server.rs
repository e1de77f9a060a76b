//! The server's thread: who may connect, how long a client may take, and what keeps pages up to
//! date. Imports `control`, `http` and its siblings.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::board::Board;
use super::events::Clients;
use super::feed::Feed;
use super::guard::Names;
use super::login::Login;
use super::metrics::ServerCounts;
use super::route;
use crate::control::Asked;
use crate::http::{Connection, TokioTimer};

/// Connections at a time, and of one address: a rack of clients that hang must not keep everybody
/// else out.
const MOST_CONNECTIONS: usize = 64;
const MOST_OF_ONE: usize = 48;
/// How long a client may take to send a request's head, and to think of the next one.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// A head that is longer is refused.
const HEAD_BYTES: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
/// What the kernel keeps of a connection each way: it counts as memory of the service.
const BUFFER_BYTES: usize = 64 * 1024;
/// A client that confirms nothing for so long is gone.
const GONE_AFTER_MS: u32 = 30_000;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const AFTER_ERROR: Duration = Duration::from_secs(1);
const STOP_PATIENCE: Duration = Duration::from_millis(500);
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\n\
    Content-Length: 0\r\nConnection: close\r\n\r\n";

/// Where and for whom.
#[derive(Debug, Clone, PartialEq)]
pub struct WebConfig {
    pub listen: SocketAddr,
    /// With which something may be changed; else nobody may.
    pub password: Option<String>,
    /// Names by which browsers reach us, beside the machine's own.
    pub hosts: Vec<String>,
    /// What the machine is called.
    pub host: Option<String>,
    /// Where alarms and history are kept.
    pub state: PathBuf,
}

/// What all connections share.
pub struct Shared {
    pub feed: Feed,
    pub board: Mutex<Board>,
    pub clients: Clients,
    pub names: Names,
    pub login: Option<Mutex<Login>>,
    pub logins_failed: AtomicU64,
    /// To the control desk.
    pub asked: mpsc::Sender<Asked>,
    pub state: PathBuf,
    /// One reader of the history at a time.
    pub reads: Semaphore,
    door: Door,
}

/// Who is connected.
#[derive(Default)]
struct Door {
    inside: Mutex<HashMap<IpAddr, usize>>,
    accepted: AtomicU64,
    refused: AtomicU64,
}

/// The running server.
pub struct Server {
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
    config: WebConfig,
    address: SocketAddr,
}

impl Server {
    /// Listens, and takes from `feed` from now on. What signed-in people ask goes to `asked`.
    ///
    /// # Errors
    /// The address is taken or not ours, or the thread cannot be started.
    pub fn start(
        config: WebConfig,
        feed: Feed,
        asked: mpsc::Sender<Asked>,
    ) -> std::io::Result<Self> {
        let listener = StdListener::bind(config.listen)?;
        listener.set_nonblocking(true)?;
        // Connections have their buffers from here.
        setsockopt(&listener, sockopt::SndBuf, &BUFFER_BYTES)?;
        setsockopt(&listener, sockopt::RcvBuf, &BUFFER_BYTES)?;
        let address = listener.local_addr()?;
        let login = config.password.as_deref().map(Login::new).map(Mutex::new);
        let shared = Arc::new(Shared {
            board: Mutex::new(Board::new(&config.state)),
            clients: Clients::default(),
            names: Names::new(config.host.as_deref(), &config.hosts),
            login,
            logins_failed: AtomicU64::new(0),
            asked,
            state: config.state.clone(),
            reads: Semaphore::new(1),
            door: Door::default(),
            feed,
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let (alive, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("web".to_owned())
            .spawn(move || {
                shared.feed.set_wanted(true);
                runtime.block_on(serve(listener, &shared, stopped));
                shared.feed.set_wanted(false);
                runtime.shutdown_background();
                drop(alive);
            })?;
        Ok(Server {
            stop,
            ended,
            config,
            address,
        })
    }

    pub fn config(&self) -> &WebConfig {
        &self.config
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, and every connection.
    pub async fn stop(self) {
        // It may have ended by itself.
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(STOP_PATIENCE, self.ended).await;
    }
}

async fn serve(listener: StdListener, shared: &Arc<Shared>, stopped: oneshot::Receiver<()>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            log::error!(target: "web", "cannot listen: {error}");
            return;
        }
    };
    tokio::select! {
        () = accept(listener, shared) => {}
        () = keep_up_to_date(shared) => {}
        // An error says that the server was dropped, which ends it too.
        _ = stopped => {}
    }
}

async fn accept(listener: TcpListener, shared: &Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match Guest::admit(shared, peer.ip()) {
                Some(guest) => {
                    tokio::spawn(attend(stream, peer, guest));
                }
                None => turn_away(stream),
            },
            Err(error) => {
                log::warn!(target: "web", "cannot accept a connection: {error}");
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// Says that there are too many, without waiting for anything.
fn turn_away(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        // Whether it is read or not, the connection ends here.
        let _ = stream.write_all(TOO_MANY);
    }
}

async fn attend(stream: TcpStream, peer: SocketAddr, guest: Guest) {
    // Events are small and shall be seen at once; where that cannot be, they come a little later.
    let _ = stream.set_nodelay(true);
    // A phone that left the network says no good-bye.
    let _ = setsockopt(&stream, sockopt::TcpUserTimeout, &GONE_AFTER_MS);
    let shared = Arc::clone(&guest.shared);
    let service = service_fn(move |request| route::answer(Arc::clone(&shared), peer, request));
    let served = http1::Builder::new()
        .timer(TokioTimer)
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_BYTES)
        .max_headers(MOST_HEADERS)
        .serve_connection(Connection::new(stream), service)
        .await;
    if let Err(error) = served {
        log::debug!(target: "web", "{peer}: {error}");
    }
    drop(guest);
}

async fn keep_up_to_date(shared: &Shared) {
    let mut alive = tokio::time::interval(KEEP_ALIVE);
    loop {
        tokio::select! {
            news = shared.feed.next() => {
                let messages = shared.board().take(news);
                for message in &messages {
                    shared.clients.tell(message);
                }
            }
            _ = alive.tick() => shared.clients.keep_alive(),
        }
    }
}

impl Shared {
    pub fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn counts(&self) -> ServerCounts {
        let [raised_anomaly, raised_silent] = self.board().raised();
        ServerCounts {
            connections: self.door.lock().values().sum::<usize>() as u64,
            connections_total: self.door.accepted.load(Ordering::Relaxed),
            refused: self.door.refused.load(Ordering::Relaxed),
            clients: self.clients.len() as u64,
            dropped: self.feed.dropped(),
            logins_failed: self.logins_failed.load(Ordering::Relaxed),
            raised_anomaly,
            raised_silent,
        }
    }
}

impl Door {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is counted until this is dropped.
struct Guest {
    shared: Arc<Shared>,
    address: IpAddr,
}

impl Guest {
    fn admit(shared: &Arc<Shared>, address: IpAddr) -> Option<Self> {
        let mut inside = shared.door.lock();
        let all: usize = inside.values().sum();
        let own = inside.get(&address).copied().unwrap_or(0);
        if all >= MOST_CONNECTIONS || own >= MOST_OF_ONE {
            shared.door.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        inside.insert(address, own + 1);
        shared.door.accepted.fetch_add(1, Ordering::Relaxed);
        Some(Guest {
            shared: Arc::clone(shared),
            address,
        })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut inside = self.shared.door.lock();
        if let Some(count) = inside.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                inside.remove(&self.address);
            }
        }
    }
}
