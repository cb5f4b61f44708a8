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

/// What a body does next.
#[derive(Debug)]
pub(super) enum Step {
    Send(Bytes),
    Wait(Duration),
    /// Silence without an end.
    Hang,
    /// The connection closes, and what follows is lost.
    Cut,
}

/// A body of steps.
#[derive(Debug)]
pub(super) struct Paced {
    steps: VecDeque<Step>,
    timer: Option<Pin<Box<Sleep>>>,
    flush: cut::Flush,
}

impl Paced {
    pub(super) fn new(steps: Vec<Step>) -> Self {
        Self {
            steps: steps.into(),
            timer: None,
            flush: cut::Flush::default(),
        }
    }
}

impl Stream for Paced {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(timer) = &mut this.timer {
                ready!(timer.as_mut().poll(cx));
                this.timer = None;
            }
            match this.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Send(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Some(Step::Wait(span)) => this.timer = Some(Box::pin(sleep(span))),
                Some(Step::Hang) => {
                    this.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
                Some(Step::Cut) => {
                    if this.flush.poll(cx).is_pending() {
                        this.steps.push_front(Step::Cut);
                        return Poll::Pending;
                    }
                    return Poll::Ready(Some(Err(cut::error())));
                }
            }
        }
    }
}
