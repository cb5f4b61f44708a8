//! Answers to requests whose body nobody read.
//!
//! A connection that is closed while the client still sends is reset, and the reset may destroy the
//! answer before the client has read it; one that is closed because a body had not come yet surprises a
//! client that takes it for its next request. So what is left of a body is read and thrown away, within
//! bounds, while the answer is on its way.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use crate::limits;

/// A body that is read to its end even if its handler does not read it.
pub(super) struct Lingering(Body);

impl Lingering {
    /// Of small bodies, too: clients send them apart from the head.
    pub(super) fn wrap(body: Body) -> Body {
        match body.size_hint().exact() {
            Some(0) => body,
            _ => Body::new(Self(body)),
        }
    }
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if self.0.is_end_stream() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let body = std::mem::take(&mut self.0);
            runtime.spawn(tokio::time::timeout(limits::LINGER_TIME, discard(body)));
        }
    }
}

async fn discard(mut body: Body) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > limits::LINGER_BYTES {
            return;
        }
    }
}
