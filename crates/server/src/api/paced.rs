//! Bodies that go out in pieces, each in its time, and may stop or break off.

use std::collections::VecDeque;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Sleep, sleep};

use crate::api::cut;
use common::clock::Clock;

/// The next step of a body.
#[derive(Debug)]
pub(super) enum Step {
    Send(Bytes),
    /// Flushes the bytes that were sent so far.
    Flush,
    /// Not at all while the workspace's clock stands still.
    Wait(Duration),
    /// Silence without an end.
    Hang,
    /// The connection closes, and what follows is lost.
    Cut,
}

/// Steps, and what is under way of them.
#[derive(Debug)]
pub(super) struct Steps {
    queue: VecDeque<Step>,
    timer: Option<Pin<Box<Sleep>>>,
    flush: cut::Flush,
    clock: Clock,
}

impl Steps {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            queue: VecDeque::new(),
            timer: None,
            flush: cut::Flush::default(),
            clock,
        }
    }

    pub(super) fn add(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.queue.extend(steps);
    }

    /// The next bytes, or `None` once every step is done.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(cx));
                self.timer = None;
            }
            match self.queue.front() {
                None => return Poll::Ready(None),
                Some(Step::Hang) => return Poll::Pending,
                Some(Step::Cut | Step::Flush) => ready!(self.flush.poll(cx)),
                Some(Step::Send(_) | Step::Wait(_)) => {}
            }
            match self.queue.pop_front() {
                Some(Step::Send(bytes)) => {
                    self.flush = cut::Flush::default();
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Some(Step::Wait(span)) if !self.clock.is_frozen() => {
                    self.timer = Some(Box::pin(sleep(span)));
                }
                Some(Step::Cut) => return Poll::Ready(Some(Err(cut::error()))),
                Some(Step::Wait(_) | Step::Flush | Step::Hang) | None => {}
            }
        }
    }
}

/// A body of steps alone.
#[derive(Debug)]
pub(super) struct Paced(Steps);

impl Paced {
    pub(super) fn new(clock: Clock, steps: Vec<Step>) -> Self {
        let mut all = Steps::new(clock);
        all.add(steps);
        Self(all)
    }
}

impl Stream for Paced {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().0.poll(cx)
    }
}
