//! The journal's view of an answer: pushed when it is complete, or when the client has left.

use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body::Frame;

use super::Exchange;
use crate::journal::Entry;
use crate::limits;
use crate::workspace::Workspace;

/// An exchange on its way into the journal.
pub(super) struct Record {
    pub(super) workspace: Arc<Workspace>,
    pub(super) entry: Entry,
    pub(super) started: Instant,
    pub(super) status: u16,
    pub(super) exchange: Exchange,
}

impl Record {
    pub(super) fn push(self) {
        let Self {
            workspace,
            mut entry,
            started,
            status,
            exchange,
        } = self;
        entry.status = status;
        entry.duration = started.elapsed();
        entry.request_body = exchange.request.map_or(entry.request_body, Into::into);
        entry.response_body = exchange.response.map_or(entry.response_body, Into::into);
        if let Some(report) = exchange.report {
            let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
            entry.source = report.source.take();
            entry.lints.append(&mut report.lints);
        }
        workspace.journal.push(entry);
    }
}

/// A body that keeps what passes through it, up to what a journal takes.
pub(super) struct RecordedBody {
    inner: Body,
    kept: BytesMut,
    record: Option<Record>,
}

impl RecordedBody {
    pub(super) fn new(inner: Body, record: Record) -> Self {
        Self {
            inner,
            kept: BytesMut::new(),
            record: Some(record),
        }
    }

    fn finish(&mut self) {
        if let Some(mut record) = self.record.take() {
            record.exchange.response = Some(self.kept.split().freeze());
            record.push();
        }
    }
}

impl Drop for RecordedBody {
    fn drop(&mut self) {
        self.finish();
    }
}

impl HttpBody for RecordedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(bytes) = frame.data_ref() {
                    let room = limits::JOURNAL_BYTES.saturating_sub(this.kept.len());
                    this.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
            }
            Some(Err(_)) | None => this.finish(),
        }
        Poll::Ready(frame)
    }
}
