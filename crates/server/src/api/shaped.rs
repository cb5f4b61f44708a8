//! Wire faults: how the bytes of an answer travel, whatever they say.
//!
//! Whole events are looked at where a fault is about events; nothing here knows what an answer means.

mod respelled;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request};
use bytes::{Buf, Bytes, BytesMut};
use http_body::Frame;

use super::paced::{Step, Steps};
use common::clock::Clock;
use common::ids::Ids;
use workspace::fault::{Pace, Where, WireAct};

/// The state that a connection and its requests share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connection(Arc<ConnectionState>);

#[derive(Debug, Default)]
struct ConnectionState {
    resets: AtomicBool,
    /// Requests whose heads are whole.
    begun: AtomicU64,
    /// Whether the next bytes belong to a body.
    in_body: AtomicBool,
    /// Whether the present request is given up when its client sends no more.
    ends_with_client: AtomicBool,
    /// Whether its client waits to be asked for the body, and was not.
    is_unasked: AtomicBool,
}

impl Connection {
    /// Of the connection that a request came over; there is none where the router is called itself.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let info = request.extensions().get::<ConnectInfo<Self>>();
        info.map(|ConnectInfo(connection)| connection.clone())
    }

    /// The connection will be reset when it closes.
    pub(crate) fn reset(&self) {
        self.0.resets.store(true, Ordering::Relaxed);
    }

    /// Whether it will be.
    pub(crate) fn resets(&self) -> bool {
        self.0.resets.load(Ordering::Relaxed)
    }

    /// A request's head is whole.
    pub(crate) fn begin(&self, ends_with_client: bool) {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.set_ends_with_client(ends_with_client);
    }

    /// Sets whether the present request's client waits to be asked for the body (`Expect: 100-continue`).
    pub(crate) fn set_is_unasked(&self, is: bool) {
        self.0.is_unasked.store(is, Ordering::Relaxed);
    }

    /// Whether it does, and was not asked.
    pub(crate) fn is_unasked(&self) -> bool {
        self.0.is_unasked.load(Ordering::Relaxed)
    }

    /// Sets whether the present request is given up when its client sends no more; says whether it was.
    pub(crate) fn set_ends_with_client(&self, ends: bool) -> bool {
        self.0.ends_with_client.swap(ends, Ordering::Relaxed)
    }

    /// Whether it is. Before its body is whole the body says so.
    pub(crate) fn ends_with_client(&self) -> bool {
        self.0.ends_with_client.load(Ordering::Relaxed) && !self.in_body()
    }

    /// Sets whether the next bytes belong to a body.
    pub(crate) fn set_in_body(&self, is: bool) {
        self.0.in_body.store(is, Ordering::Relaxed);
    }

    /// Whether it is.
    pub(crate) fn in_body(&self) -> bool {
        self.0.in_body.load(Ordering::Relaxed)
    }

    /// How many were.
    pub(crate) fn begun(&self) -> u64 {
        self.0.begun.load(Ordering::Relaxed)
    }
}

/// Pieces that a slow body comes in, for each second.
const SLOW_PIECES: u64 = 20;
/// Characters of a token, about.
const TOKEN_CHARS: usize = 4;
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
const MALFORMED: &str =
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"del\n\n";
/// Parity: new events may come at any time, and clients are told to pass over them (F027).
const UNKNOWN: &str = "event: sandtable_unknown\ndata: {\"type\":\"sandtable_unknown\"}\n\n";

/// A body with a fault on its way.
pub(super) struct Shaped {
    inner: Body,
    steps: Steps,
    shaper: Shaper,
    ended: bool,
}

impl Shaped {
    /// `ids` are dice for the jitter.
    pub(super) fn new(
        inner: Body,
        act: WireAct,
        clock: Clock,
        ids: Ids,
        connection: Connection,
    ) -> Self {
        Self {
            inner,
            steps: Steps::new(clock),
            shaper: Shaper {
                act,
                ids,
                connection,
                held: BytesMut::new(),
                bytes: 0,
                events: 0,
                tokens: 0,
                done: false,
            },
            ended: false,
        }
    }
}

impl HttpBody for Shaped {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        loop {
            if let Some(next) = ready!(this.steps.poll(cx)) {
                return Poll::Ready(Some(match next {
                    Ok(bytes) => Ok(Frame::data(bytes)),
                    Err(error) => {
                        this.shaper.broken();
                        Err(axum::Error::new(error))
                    }
                }));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        let steps = this.shaper.take(bytes);
                        this.steps.add(steps);
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    this.ended = true;
                    let steps = this.shaper.end();
                    this.steps.add(steps);
                }
            }
        }
    }
}

/// Turns what comes into what goes out.
struct Shaper {
    act: WireAct,
    ids: Ids,
    connection: Connection,
    /// Bytes that wait for the rest of their event, or for the end.
    held: BytesMut,
    bytes: u64,
    events: u64,
    tokens: u64,
    done: bool,
}

impl Shaper {
    fn take(&mut self, bytes: Bytes) -> Vec<Step> {
        match &self.act {
            WireAct::Slow { bytes_per_second } => slow(bytes, *bytes_per_second),
            WireAct::Split { bytes: size } => split(bytes, *size),
            WireAct::Merge => {
                self.held.extend_from_slice(&bytes);
                Vec::new()
            }
            WireAct::Hang(Where::Bytes(after)) | WireAct::Reset(Where::Bytes(after)) => {
                let after = *after;
                self.after_bytes(bytes, after)
            }
            WireAct::Lost {
                place: Where::Bytes(after),
                ..
            } => {
                let after = *after;
                self.up_to(bytes, after)
            }
            WireAct::Hang(Where::Events(_))
            | WireAct::Reset(Where::Events(_))
            | WireAct::Lost {
                place: Where::Events(_),
                ..
            }
            | WireAct::Malformed { .. }
            | WireAct::Unknown { .. }
            | WireAct::Pings { .. }
            | WireAct::Deltas { .. }
            | WireAct::UnknownMembers
            | WireAct::Pace(_) => {
                self.held.extend_from_slice(&bytes);
                self.whole_events()
            }
        }
    }

    fn end(&mut self) -> Vec<Step> {
        let mut rest = std::mem::take(&mut self.held).freeze();
        if matches!(self.act, WireAct::UnknownMembers) {
            // A body that is one JSON text has no event in it.
            rest = respelled::body(&rest).unwrap_or(rest);
        }
        let mut steps: Vec<Step> = Vec::new();
        let is_lost = matches!(self.act, WireAct::Lost { .. });
        if !rest.is_empty() && !is_lost {
            steps.push(Step::Send(rest));
        }
        // An answer that was shorter than the fault wanted meets it at its end.
        if !std::mem::replace(&mut self.done, true) {
            steps.extend(self.fire());
        }
        steps
    }

    fn after_bytes(&mut self, mut bytes: Bytes, after: u64) -> Vec<Step> {
        if self.done {
            return Vec::new();
        }
        let left = usize::try_from(after - self.bytes).unwrap_or(usize::MAX);
        self.bytes += bytes.len() as u64;
        if bytes.len() < left {
            return vec![Step::Send(bytes)];
        }
        bytes.truncate(left);
        self.done = true;
        let mut steps = vec![Step::Send(bytes)];
        steps.extend(self.fire());
        steps
    }

    /// The part of these bytes that comes before the place; the others are made, and go nowhere.
    fn up_to(&mut self, mut bytes: Bytes, after: u64) -> Vec<Step> {
        let left = usize::try_from(after.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        self.bytes += bytes.len() as u64;
        bytes.truncate(left);
        let sent = (!bytes.is_empty()).then_some(Step::Send(bytes));
        sent.into_iter().collect()
    }

    /// The events that are complete, each as a piece of its own.
    fn whole_events(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(at) = memchr::memmem::find(&self.held, b"\n\n") {
            let event = self.held.split_to(at + 2).freeze();
            if self.done && matches!(self.act, WireAct::Reset(_) | WireAct::Hang(_)) {
                continue;
            }
            if matches!(self.act, WireAct::Lost { .. })
                && Some(self.events) >= self.act.after_events()
            {
                continue;
            }
            if let WireAct::Pace(pace) = &self.act {
                let pace = pace.clone();
                steps.extend(self.wait(&pace, &event));
            } else if let Some(after) = self.act.after_events()
                && !self.done
                && self.events >= after
            {
                self.done = true;
                steps.extend(self.fire());
                if matches!(self.act, WireAct::Reset(_) | WireAct::Hang(_)) {
                    continue;
                }
            }
            self.events += 1;
            let sends = |pieces: Vec<Bytes>| pieces.into_iter().map(Step::Send);
            match &self.act {
                WireAct::Deltas { chars } => steps.extend(sends(respelled::cut(event, *chars))),
                WireAct::UnknownMembers => steps.extend(sends(vec![respelled::event(event)])),
                WireAct::Slow { .. }
                | WireAct::Split { .. }
                | WireAct::Merge
                | WireAct::Hang(_)
                | WireAct::Reset(_)
                | WireAct::Lost { .. }
                | WireAct::Malformed { .. }
                | WireAct::Unknown { .. }
                | WireAct::Pings { .. }
                | WireAct::Pace(_) => steps.push(Step::Send(event)),
            }
        }
        steps
    }

    /// The steps of the fault where it is due.
    fn fire(&mut self) -> Vec<Step> {
        let inserted = |text: &'static str| Step::Send(Bytes::from_static(text.as_bytes()));
        match &self.act {
            WireAct::Hang(_) | WireAct::Lost { hangs: true, .. } => {
                self.connection.set_ends_with_client(true);
                vec![Step::Flush, Step::Hang]
            }
            WireAct::Reset(_) | WireAct::Lost { hangs: false, .. } => {
                vec![Step::Flush, Step::Cut]
            }
            WireAct::Malformed { .. } => vec![inserted(MALFORMED)],
            WireAct::Unknown { .. } => vec![inserted(UNKNOWN)],
            WireAct::Pings { count, .. } => (0..*count).map(|_| inserted(PING)).collect(),
            WireAct::Slow { .. }
            | WireAct::Split { .. }
            | WireAct::Merge
            | WireAct::Deltas { .. }
            | WireAct::UnknownMembers
            | WireAct::Pace(_) => Vec::new(),
        }
    }

    /// How long the model thinks before this event.
    fn wait(&mut self, pace: &Pace, event: &Bytes) -> Option<Step> {
        let is_delta = event.starts_with(b"event: content_block_delta");
        if !is_delta {
            return None;
        }
        let first = self.tokens == 0;
        let chars = event.len().saturating_sub(DELTA_FRAME_BYTES).max(1);
        let tokens = chars.div_ceil(TOKEN_CHARS) as u64;
        self.tokens += tokens;
        let mut span = match pace.tokens_per_second {
            Some(rate) if !first => {
                Duration::from_secs_f64(f64::from(u32::try_from(tokens).unwrap_or(u32::MAX)) / rate)
            }
            _ => Duration::ZERO,
        };
        if first {
            span += pace.ttft;
        }
        // From 1 - jitter to 1 + jitter.
        let roll = f64::from(u32::try_from(self.ids.next_u64() >> 32).unwrap_or(u32::MAX))
            / f64::from(u32::MAX);
        Some(Step::Wait(
            span.mul_f64(1.0 + pace.jitter * (2.0 * roll - 1.0)),
        ))
    }

    fn broken(&self) {
        if matches!(
            self.act,
            WireAct::Reset(_) | WireAct::Lost { hangs: false, .. }
        ) {
            self.connection.reset();
        }
    }
}

/// The bytes of a delta's event beside its text.
const DELTA_FRAME_BYTES: usize = 120;

fn slow(mut bytes: Bytes, bytes_per_second: u64) -> Vec<Step> {
    let size = usize::try_from((bytes_per_second / SLOW_PIECES).max(1)).unwrap_or(usize::MAX);
    let mut steps = Vec::new();
    while !bytes.is_empty() {
        let piece = bytes.split_to(size.min(bytes.len()));
        let span = Duration::from_secs(piece.len() as u64).div_f64(rate(bytes_per_second));
        steps.push(Step::Send(piece));
        steps.push(Step::Wait(span));
    }
    steps
}

fn rate(per_second: u64) -> f64 {
    f64::from(u32::try_from(per_second).unwrap_or(u32::MAX))
}

fn split(mut bytes: Bytes, size: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    while bytes.has_remaining() {
        steps.push(Step::Send(bytes.split_to(size.min(bytes.len()))));
        steps.push(Step::Flush);
    }
    steps
}
