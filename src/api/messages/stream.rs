//! The streamed answer: the turn runs as the body is read, and every event leaves at once.
//!
//! The body owns the turn. A client that leaves drops the body, and with it the turn and what it was
//! running.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use wire::event::StreamEvent;
use wire::sse;

use crate::api::error::ApiResult;
use crate::api::messages::refused;
use crate::app::App;
use crate::engine::{self, Sink, TurnError, TurnInput};

/// Runs the turn up to its first event. A failure before it is an ordinary HTTP error.
pub(super) async fn answer(app: App, input: TurnInput) -> ApiResult<Response> {
    let frames = Frames::default();
    let mut sink = frames.clone();
    let turn = Box::pin(async move { engine::run(&app.engine, &input, &mut sink).await });
    let mut body = TurnBody {
        turn: Some(turn),
        frames,
    };
    std::future::poll_fn(|cx| body.poll_first(cx))
        .await
        .map_err(refused)?;
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// Frames between the turn that writes them and the body that sends them.
#[derive(Debug, Clone, Default)]
struct Frames(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    padding: Padding,
}

/// The run of paddings of one stream: uniform from 0 to 15 (FACTS 1.1), and the same for the same
/// message id.
#[derive(Debug, Default)]
struct Padding(u64);

impl Padding {
    fn seed(&mut self, id: &str) {
        self.0 = id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    }

    fn next(&mut self) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 60).unwrap_or(0)
    }
}

impl Frames {
    fn take(&self) -> Option<Bytes> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!queue.bytes.is_empty()).then(|| Bytes::from(std::mem::take(&mut queue.bytes)))
    }

    fn is_empty(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .bytes
            .is_empty()
    }
}

impl Sink for Frames {
    fn event(&mut self, event: StreamEvent) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Queue { bytes, padding } = &mut *queue;
        if let StreamEvent::MessageStart { message } = &event {
            padding.seed(&message.id);
        }
        let spaces = if event == StreamEvent::Ping {
            0
        } else {
            padding.next()
        };
        sse::write_event(bytes, &event, spaces);
    }
}

type BoxedTurn = Pin<Box<dyn Future<Output = Result<(), TurnError>> + Send>>;

struct TurnBody {
    turn: Option<BoxedTurn>,
    frames: Frames,
}

impl TurnBody {
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TurnError>> {
        let Some(turn) = &mut self.turn else {
            return Poll::Ready(Ok(()));
        };
        let done = match turn.as_mut().poll(cx) {
            Poll::Pending if self.frames.is_empty() => return Poll::Pending,
            Poll::Pending => return Poll::Ready(Ok(())),
            Poll::Ready(done) => done,
        };
        self.turn = None;
        match done {
            Err(error) if self.frames.is_empty() => Poll::Ready(Err(error)),
            Err(error) => {
                self.fail(error);
                Poll::Ready(Ok(()))
            }
            Ok(()) => Poll::Ready(Ok(())),
        }
    }

    /// After the first event an error is an event, and the stream ends with it.
    fn fail(&mut self, error: TurnError) {
        self.frames.event(StreamEvent::Error {
            error: refused(error).stream_error(),
        });
    }
}

impl Stream for TurnBody {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(bytes) = this.frames.take() {
            return Poll::Ready(Some(Ok(bytes)));
        }
        let Some(turn) = &mut this.turn else {
            return Poll::Ready(None);
        };
        match turn.as_mut().poll(cx) {
            Poll::Pending => {}
            Poll::Ready(done) => {
                this.turn = None;
                if let Err(error) = done {
                    this.fail(error);
                }
            }
        }
        match this.frames.take() {
            Some(bytes) => Poll::Ready(Some(Ok(bytes))),
            None if this.turn.is_none() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}
