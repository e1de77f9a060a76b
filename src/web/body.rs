//! What is sent and what is taken: whole bodies, streams of events, and requests' bodies up to a
//! limit. Imports `http`.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::sync::mpsc;

use crate::http;
pub use crate::http::Unread;

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

/// The whole body of a request.
///
/// # Errors
/// It is too large, too slow or broken off.
pub async fn read(body: Incoming) -> Result<Vec<u8>, Unread> {
    http::read(body, LARGEST_REQUEST, REQUEST_PATIENCE).await
}
