//! The streamed answer: the turn runs as the body is read, and every event leaves at once.
//!
//! The body owns the turn. A client that leaves drops the body, and with it the turn and what it was
//! running.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use wire::event::StreamEvent;
use wire::sse;

use crate::api::cut;
use crate::api::era;
use crate::api::error::ApiResult;
use crate::api::messages::threads::{self, Thread};
use crate::api::turn::refused;
use crate::app::App;
use engine::{Sink, TurnError, TurnInput, Wait};
use workspace::coverage::{Coverage, Mode};
use workspace::quirks::Era;

const CONTENT_TYPE: &str = "text/event-stream; charset=utf-8";

/// Runs the turn up to its first event. A failure before it is an ordinary HTTP error.
pub(super) async fn answer(
    app: App,
    input: TurnInput,
    thread: Option<Thread>,
    counts_as_sent: bool,
) -> ApiResult<Response> {
    let coverage = (!counts_as_sent).then(|| Arc::clone(&input.workspace.watch.coverage));
    let frames = Frames::of(&input, coverage.clone());
    let mut sink = frames.clone();
    let turn = Box::pin(async move { threads::run(&app.engine, &input, thread, &mut sink).await });
    let mut body = TurnBody {
        turn: Some(turn),
        frames,
        gate: None,
        cut: None,
    };
    match std::future::poll_fn(|cx| body.poll_first(cx)).await {
        Err(TurnError::Cut) => return Ok(cut::response(Bytes::new(), CONTENT_TYPE)),
        done => done.map_err(refused)?,
    }
    if let Some(coverage) = coverage {
        coverage.mode(Mode::Streaming);
    }
    let headers = [
        (header::CONTENT_TYPE, CONTENT_TYPE),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// Frames between the turn that writes them and the body that sends them.
#[derive(Debug, Clone, Default)]
struct Frames(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    padding: Padding,
    /// In the shapes of 2025.
    old: bool,
    /// Where it is counted what the client meets, unless that is known only when it is sent.
    coverage: Option<Arc<Coverage>>,
}

/// The next item to go out.
#[derive(Debug)]
enum Item {
    Bytes(Vec<u8>),
    /// Nothing, for a while.
    Wait(Wait),
}

/// The run of paddings of one stream: uniform from 0 to 15 (F020), and the same for the same
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
    fn of(input: &TurnInput, coverage: Option<Arc<Coverage>>) -> Self {
        let queue = Queue {
            old: input.quirks.era == Era::Beta2025,
            coverage,
            ..Queue::default()
        };
        Self(Arc::new(Mutex::new(queue)))
    }

    fn take(&self) -> Option<Item> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.items.pop_front()
    }

    fn is_empty(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .items
            .is_empty()
    }
}

impl Sink for Frames {
    fn event(&mut self, event: StreamEvent) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Queue {
            items,
            padding,
            old,
            coverage,
        } = &mut *queue;
        if let Some(coverage) = coverage {
            coverage.event(&event);
        }
        if let StreamEvent::MessageStart { message } = &event {
            padding.seed(&message.id);
        }
        let spaces = if event == StreamEvent::Ping {
            0
        } else {
            padding.next()
        };
        let mut bytes = match items.pop_back() {
            Some(Item::Bytes(bytes)) => bytes,
            Some(wait @ Item::Wait(_)) => {
                items.push_back(wait);
                Vec::new()
            }
            None => Vec::new(),
        };
        if *old && let Ok(mut data) = serde_json::to_value(&event) {
            era::age(&mut data);
            sse::write_as(&mut bytes, &event, &data, spaces);
        } else {
            sse::write_event(&mut bytes, &event, spaces);
        }
        items.push_back(Item::Bytes(bytes));
    }

    fn wait(&mut self, wait: Wait) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.items.push_back(Item::Wait(wait));
    }
}

type Gate = Pin<Box<dyn Future<Output = ()> + Send>>;

fn gate(wait: Wait) -> Gate {
    match wait {
        Wait::For(span) => Box::pin(tokio::time::sleep(span)),
        Wait::Forever => Box::pin(std::future::pending()),
    }
}

type BoxedTurn = Pin<Box<dyn Future<Output = Result<(), TurnError>> + Send>>;

struct TurnBody {
    turn: Option<BoxedTurn>,
    frames: Frames,
    /// Until it opens nothing goes out, and the turn stands still.
    gate: Option<Gate>,
    /// Once everything is out, the connection closes without an end.
    cut: Option<cut::Flush>,
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
        if matches!(error, TurnError::Cut) {
            self.cut = Some(cut::Flush::default());
            return;
        }
        self.frames.event(StreamEvent::Error {
            error: refused(error).stream_error(),
        });
    }
}

impl TurnBody {
    /// The next bytes that are ready and may go out.
    fn poll_frames(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(gate) = &mut self.gate {
                ready!(gate.as_mut().poll(cx));
                self.gate = None;
            }
            match self.frames.take() {
                Some(Item::Bytes(bytes)) => return Poll::Ready(Some(Bytes::from(bytes))),
                Some(Item::Wait(wait)) => self.gate = Some(gate(wait)),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Stream for TurnBody {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(bytes) = ready!(this.poll_frames(cx)) {
            return Poll::Ready(Some(Ok(bytes)));
        }
        if let Some(turn) = &mut this.turn
            && let Poll::Ready(done) = turn.as_mut().poll(cx)
        {
            this.turn = None;
            if let Err(error) = done {
                this.fail(error);
            }
        }
        if let Some(bytes) = ready!(this.poll_frames(cx)) {
            return Poll::Ready(Some(Ok(bytes)));
        }
        if this.turn.is_some() {
            return Poll::Pending;
        }
        match &mut this.cut {
            Some(flush) => {
                ready!(flush.poll(cx));
                Poll::Ready(Some(Err(cut::error())))
            }
            None => Poll::Ready(None),
        }
    }
}
