//! Answers that break off: the connection closes before they are complete.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;

/// An answer of which at most `sent` arrives; with nothing in it, not even the head does.
pub(super) fn response(sent: Bytes, content_type: &'static str) -> Response {
    let body = Sent {
        // A pause would send the head.
        flush: Flush {
            paused: sent.is_empty(),
        },
        bytes: Some(sent).filter(|sent| !sent.is_empty()),
    };
    let headers = [(header::CONTENT_TYPE, content_type)];
    (headers, Body::from_stream(body)).into_response()
}

/// The error that makes the server close the connection.
pub(super) fn error() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut by a fault")
}

/// Lets the server send what it has before the error comes: it flushes when a body pauses.
#[derive(Debug, Default)]
pub(crate) struct Flush {
    paused: bool,
}

impl Flush {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.paused {
            return Poll::Ready(());
        }
        self.paused = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

struct Sent {
    bytes: Option<Bytes>,
    flush: Flush,
}

impl Stream for Sent {
    type Item = Result<Bytes, io::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(bytes) = this.bytes.take() {
            return Poll::Ready(Some(Ok(bytes)));
        }
        if this.flush.poll(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(error())))
    }
}
