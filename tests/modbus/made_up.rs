//! A device made up for what no honest server says.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// How the device answers a question.
pub enum Answer {
    /// These bytes.
    Bytes(Vec<u8>),
    /// These bytes, one every 50 ms.
    Drip(Vec<u8>),
    /// These bytes, and zeros without end.
    Flood(Vec<u8>),
    Nothing,
    Close,
}

/// The right answer to a question for holding registers: each holds its address.
pub fn truth(question: &[u8; 12]) -> Vec<u8> {
    let address = u16::from_be_bytes([question[8], question[9]]);
    let count = u16::from_be_bytes([question[10], question[11]]);
    let words: Vec<u8> = (address..address + count)
        .flat_map(u16::to_be_bytes)
        .collect();
    frame(question, &[&[3, words.len() as u8], &words[..]].concat())
}

/// A frame with the question's transaction and unit.
pub fn frame(question: &[u8; 12], pdu: &[u8]) -> Vec<u8> {
    let length = (pdu.len() as u16 + 1).to_be_bytes();
    let header = [
        question[0],
        question[1],
        0,
        0,
        length[0],
        length[1],
        question[6],
    ];
    [&header, pdu].concat()
}

/// A device on a free port, which answers its n-th question, counted over all connections, by
/// `answer(n, question)`. Returns the port.
pub async fn device(mut answer: impl FnMut(usize, &[u8; 12]) -> Answer + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut number = 0;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = [0; 12];
            // Until the client is gone; what cannot be written says so too.
            while stream.read_exact(&mut question).await.is_ok() {
                let answer = answer(number, &question);
                number += 1;
                match answer {
                    Answer::Bytes(bytes) => {
                        let _ = stream.write_all(&bytes).await;
                    }
                    Answer::Drip(bytes) => {
                        for byte in bytes {
                            if stream.write_u8(byte).await.is_err() {
                                break;
                            }
                            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                        }
                    }
                    Answer::Flood(bytes) => {
                        let _ = stream.write_all(&bytes).await;
                        while stream.write_all(&[0; 4096]).await.is_ok() {}
                    }
                    Answer::Nothing => {}
                    Answer::Close => break,
                }
            }
        }
    });
    port
}
