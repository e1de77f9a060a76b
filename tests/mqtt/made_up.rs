//! A broker made up for what mosquitto cannot be brought to say.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Accepts one connection after the other and answers every subscription: those whose filter
/// holds "secret" are refused. Returns the number of filters of each request.
pub async fn refusing_broker(listener: TcpListener, requests: Arc<Mutex<Vec<usize>>>) {
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        while let Ok(kind) = socket.read_u8().await {
            // The remaining length, seven bits a byte.
            let (mut length, mut shift) = (0, 0);
            loop {
                let byte = socket.read_u8().await.unwrap();
                length |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let mut body = vec![0; length];
            socket.read_exact(&mut body).await.unwrap();
            match kind >> 4 {
                1 => socket.write_all(&[0x20, 2, 0, 0]).await.unwrap(),
                8 => {
                    let mut codes = Vec::new();
                    let mut rest = &body[2..];
                    while let [high, low, after @ ..] = rest {
                        let length = usize::from(u16::from_be_bytes([*high, *low]));
                        let filter = String::from_utf8_lossy(&after[..length]);
                        codes.push(if filter.contains("secret") { 0x80 } else { 1 });
                        rest = &after[length + 1..];
                    }
                    requests.lock().unwrap().push(codes.len());
                    let mut answer = vec![0x90, 2 + codes.len() as u8, body[0], body[1]];
                    answer.extend(codes);
                    socket.write_all(&answer).await.unwrap();
                }
                _ => {}
            }
        }
    }
}
