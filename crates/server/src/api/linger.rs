//! Answers to requests whose body nobody read.
//!
//! A connection that is closed while the client still sends is reset, and the reset may destroy the
//! answer before the client has read it; one that is closed because a body had not come yet surprises a
//! client that takes it for its next request. So what is left of a body is read and thrown away, within
//! bounds, while the answer is on its way.

use std::error::Error;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::Sleep;

use super::shaped::Connection;
use common::limits;

/// A body that is read to its end even if its handler does not read it.
///
/// One that stays silent for too long ends with an error, so that it holds nothing for ever.
pub(super) struct Lingering<B: Foreign> {
    /// Until it is read on by somebody else.
    inner: Option<B>,
    connection: Connection,
    /// Runs while the next bytes are waited for.
    silence: Option<Pin<Box<Sleep>>>,
}

/// A body of whoever serves the connection.
pub(crate) trait Foreign:
    HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static
{
}

impl<B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static> Foreign for B {}

impl<B: Foreign> Lingering<B> {
    /// Of small bodies, too: clients send them apart from the head.
    pub(super) fn wrap(body: B, headers: &HeaderMap, connection: Connection) -> Body {
        if body.size_hint().exact() == Some(0) {
            return Body::new(body);
        }
        connection.set_in_body(true);
        connection.set_is_unasked(headers.contains_key(header::EXPECT));
        Body::new(Self {
            inner: Some(body),
            connection,
            silence: None,
        })
    }
}

impl<B: Foreign> HttpBody for Lingering<B> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        this.connection.set_is_unasked(false);
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(cx) {
            this.silence = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)));
        }
        let silence = this
            .silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limits::BODY_SILENCE)));
        match silence.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(axum::Error::new(io::Error::from(
                io::ErrorKind::TimedOut,
            ))))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.inner.as_ref();
        inner.map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl<B: Foreign> Drop for Lingering<B> {
    fn drop(&mut self) {
        let body = self.inner.take().filter(|body| !body.is_end_stream());
        // Who waits to be asked for a body sends none after another answer.
        let body = body.filter(|_| !self.connection.is_unasked());
        let Some(body) = body else {
            return self.connection.set_in_body(false);
        };
        let connection = self.connection.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::timeout(limits::LINGER_TIME, discard(body))
                    .await
                    .ok();
                connection.set_in_body(false);
            });
        }
    }
}

/// Why a body did not come to its end: the status of the refusal, and its words on both surfaces.
pub(crate) fn unfinished(error: &(dyn Error + 'static)) -> (StatusCode, &'static str) {
    let (mut is_silent, mut cause) = (false, Some(error));
    while let Some(error) = cause {
        let of_io = error.downcast_ref::<io::Error>();
        is_silent |= of_io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
        cause = error.source();
    }
    if is_silent {
        (
            StatusCode::REQUEST_TIMEOUT,
            "The request body stayed silent for too long",
        )
    } else {
        (
            StatusCode::BAD_REQUEST,
            "The request body could not be read to its end",
        )
    }
}

async fn discard(mut body: impl Foreign) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if bytes > limits::LINGER_BYTES {
            return;
        }
    }
}
