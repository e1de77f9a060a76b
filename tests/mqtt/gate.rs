//! A way to the broker that can be shut: what the daemon meets when the network is cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Listens on a port of its own and passes everything on to the broker while it is open.
pub struct Gate {
    pub port: u16,
    is_open: Arc<AtomicBool>,
    passing: Arc<Mutex<Vec<TcpStream>>>,
}

impl Gate {
    /// Shut at first.
    pub fn new(broker: u16) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_open = Arc::new(AtomicBool::new(false));
        let passing: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let (open, all) = (Arc::clone(&is_open), Arc::clone(&passing));
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                if !open.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(("127.0.0.1", broker)) else {
                    continue;
                };
                for stream in [&near, &far] {
                    stream.set_nodelay(true).unwrap();
                    all.lock().unwrap().push(stream.try_clone().unwrap());
                }
                pass(near.try_clone().unwrap(), far.try_clone().unwrap());
                pass(far, near);
            }
        });
        Gate {
            port,
            is_open,
            passing,
        }
    }

    pub fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }

    /// Cuts every connection, and lets nobody in.
    pub fn shut(&self) {
        self.is_open.store(false, Ordering::SeqCst);
        for stream in self.passing.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // One that was let in just before is seen by now.
        std::thread::sleep(Duration::from_millis(20));
        for stream in self.passing.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let mut block = [0; 16 * 1024];
        while let Ok(length) = from.read(&mut block) {
            if length == 0 || to.write_all(&block[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
