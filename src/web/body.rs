//! What is sent and what is taken: whole bodies, streams of events, and requests' bodies up to a
//! limit. Imports nothing of the crate.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::sync::mpsc;

/// More than any request here needs.
const LARGEST_REQUEST: usize = 4_096;
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);

/// The body of an answer.
pub enum Reply {
    Whole(Option<Bytes>),
    /// Ends when the sender is dropped.
    Events(mpsc::Receiver<Bytes>),
}

impl Reply {
    pub fn of(text: impl Into<Bytes>) -> Self {
        Reply::Whole(Some(text.into()))
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Reply::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Reply::Events(events) => events
                .poll_recv(context)
                .map(|event| event.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Reply::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Reply::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Reply::Events(_) => SizeHint::default(),
        }
    }
}

/// A request's body could not be taken.
pub enum Unread {
    TooLarge,
    TooSlow,
    Broken,
}

/// The whole body of a request.
///
/// # Errors
/// It is too large, too slow or broken off.
pub async fn read(body: Incoming) -> Result<Vec<u8>, Unread> {
    match tokio::time::timeout(REQUEST_PATIENCE, gather(body)).await {
        Ok(read) => read,
        Err(_) => Err(Unread::TooSlow),
    }
}

async fn gather(mut body: Incoming) -> Result<Vec<u8>, Unread> {
    let mut read = Vec::new();
    if body.size_hint().lower() > LARGEST_REQUEST as u64 {
        return Err(Unread::TooLarge);
    }
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let Some(frame) = frame else {
            return Ok(read);
        };
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else {
            continue;
        };
        if read.len() + data.len() > LARGEST_REQUEST {
            return Err(Unread::TooLarge);
        }
        read.extend_from_slice(&data);
    }
}
