//! The journal's view of an answer: pushed when it is complete, or when the client has left.

use std::borrow::Cow;
use std::cell::RefCell;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use axum::body::{Body as AnyBody, HttpBody};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use control_api::{RequestBegun, RequestEnded};
use http_body::Frame;
use serde_json::{Value, json};
use tracing::Span;

use crate::api::error::{ApiError, RequestId};
use crate::api::exchange::Noted;
use crate::api::key::keys;
use crate::app::App;
use crate::caught;
use cassette::{Redactor, data_of_frame, split_frames};
use common::ids::{Ids, Kind};
use common::{limits, lossy};
use workspace::coverage::Mode;
use workspace::fault::{Bringer, Faults, Fired};
use workspace::journal::{Body, Ended, Entry, Headers, Mark, is_complete};
use workspace::lint::Lint;
use workspace::telemetry::{Done, TurnDone};
use workspace::verify::{Facts, Made, Miss, Seen};
use workspace::{OpenRequest, Workspace};

/// The largest body of an entry that has one.
const CONTENT_BYTES: usize = limits::JOURNAL_BYTES / 4;

/// Where the log's line of each request comes from.
pub(crate) const REQUESTS: &str = "sandtable::request";

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const WORKSPACE_ID: HeaderName = HeaderName::from_static("anthropic-workspace-id");
const ORGANIZATION_ID: HeaderName = HeaderName::from_static("anthropic-organization-id");

/// A span in whole milliseconds.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A request that has just come, as far as the journal will know it.
pub(super) struct Arrived {
    started: Instant,
    /// Nothing that is noted of the request holds its key, wherever the client has put it.
    redactor: Redactor,
    entry: Entry,
}

impl Arrived {
    pub(super) fn now(head: &Parts) -> Self {
        let started = Instant::now();
        let redactor = without_keys_of(&head.headers);
        let kept = head.headers.iter();
        // What is not kept need not be looked at.
        let kept = kept.filter(|(name, _)| !Headers::is_secret(name.as_str()));
        let entry = Entry {
            method: method(&head.method, &redactor),
            path: redactor.encoded(head.uri.path()),
            query: head.uri.query().map(|query| redactor.encoded(query)),
            request_headers: Headers::new(kept.map(|header| clean(header, &redactor))),
            started: Some(started),
            ..Entry::default()
        };
        Self {
            started,
            redactor,
            entry,
        }
    }

    /// The answer to a request that belongs to no workspace.
    pub(super) fn turned_away(&self, app: &App, error: &ApiError) -> Response {
        app.workspaces.turned_away();
        let id = RequestId(Arc::from(&*Ids::random().next_text(Kind::Request)));
        let Entry { method, path, .. } = &self.entry;
        let method = &**method;
        let (duration, status) = (self.started.elapsed(), error.status().as_u16());
        let (ms, request_id) = (millis(duration), &*id.0);
        tracing::info!(target: REQUESTS, method, path, status, ms, request_id, "answered");
        app.containers.telemetry().request(&Done {
            request_id,
            workspace: None,
            started: self.started,
            duration,
            traceparent: self.entry.request_headers.get("traceparent"),
            method,
            path,
            status,
            ended: Ended::Whole,
            error: None,
            item: None,
            turn: None,
            source: None,
        });
        let (mut response, _) = error.answer(Some(request_id));
        name(response.headers_mut(), &id);
        response
    }
}

/// A method, whose name may be a text of the client's.
fn method(method: &Method, redactor: &Redactor) -> Cow<'static, str> {
    const KNOWN: [&str; 4] = ["POST", "GET", "DELETE", "HEAD"];
    let known = KNOWN.into_iter().find(|known| method == *known);
    known.map_or_else(
        || Cow::Owned(redactor.text(method.as_str()).into_owned()),
        Cow::Borrowed,
    )
}

/// Keeps out the keys of a request, its passwords, and its cookies. Most requests carry the key of the one before and nothing
/// else, and share what keeps it out.
fn without_keys_of(headers: &HeaderMap) -> Redactor {
    thread_local! {
        static LAST: RefCell<Redactor> = RefCell::new(Redactor::default());
    }
    LAST.with_borrow_mut(|last| {
        if !last.knows_just(|| keys(headers)) {
            *last = Redactor::default().with_known(keys(headers));
        }
        let redactor = last.clone();
        if headers.get_all(header::AUTHORIZATION).iter().all(is_bearer)
            && !headers.contains_key(header::PROXY_AUTHORIZATION)
            && !headers.contains_key(header::COOKIE)
        {
            return redactor;
        }
        let pairs = headers.iter();
        redactor.with_told_by_headers(
            pairs.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))),
        )
    })
}

/// Whether an `authorization` tells a key, and no more.
fn is_bearer(value: &HeaderValue) -> bool {
    let scheme = value.as_bytes().split(|byte| *byte == b' ').next();
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
}

/// Puts the request's id on its answer.
pub(super) fn name(headers: &mut HeaderMap, id: &RequestId) {
    // A recorded answer has the id that was recorded.
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        headers.entry(REQUEST_ID).or_insert(value);
    }
}

/// A header in which no key is left, in its name or its value.
fn clean<'a>(
    (name, value): (&'a HeaderName, &'a HeaderValue),
    redactor: &Redactor,
) -> (Cow<'a, str>, Cow<'a, str>) {
    let value = match lossy::text(value.as_bytes()) {
        Cow::Borrowed(text) => redactor.inside(text),
        Cow::Owned(text) => Cow::Owned(redactor.inside(&text).into_owned()),
    };
    (redactor.text(name.as_str()), value)
}

/// The same of an answer's header; most of them never say what the client has said.
fn clean_of_answer<'a>(
    (name, value): (&'a HeaderName, &'a HeaderValue),
    redactor: &Redactor,
) -> (Cow<'a, str>, Cow<'a, str>) {
    let ids = [REQUEST_ID, WORKSPACE_ID, ORGANIZATION_ID];
    let is_of_service = name.as_str().starts_with("anthropic-ratelimit-") || ids.contains(name);
    match value.to_str() {
        Ok(value) if is_of_service => (name.as_str().into(), value.into()),
        Ok(_) | Err(_) => clean((name, value), redactor),
    }
}

/// A body that is known to lie in memory, and so comes at once and in one piece.
fn in_memory(body: &mut AnyBody) -> Option<Bytes> {
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(body).poll_frame(&mut cx) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
        Poll::Ready(Some(Err(_)) | None) | Poll::Pending => None,
    }
}

pub(super) fn is_stream(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

/// An exchange on its way into the journal. One that is dropped is an exchange whose client has left, or that has failed.
pub(super) struct Record {
    pub(super) workspace: Arc<Workspace>,
    pub(super) entry: Entry,
    started: Instant,
    /// Keeps the request's key out of all that is noted.
    pub(super) redactor: Redactor,
    pub(super) noted: Noted,
    /// The facts beside the turn's own report.
    pub(super) facts: Facts,
    pub(super) made: Made,
    /// The faults that the request has brought along.
    pub(super) own: Option<Arc<Faults>>,
    /// That was asked, where a fault wants to know it.
    pub(super) model: Option<String>,
    /// The span of the log's lines, those of the body included.
    span: Span,
    /// Until this is in the journal.
    pub(super) open: OpenRequest,
    pushed: bool,
}

impl Record {
    pub(super) fn begin(workspace: Arc<Workspace>, arrived: Arrived, id: &RequestId) -> Self {
        let Arrived {
            started,
            redactor,
            entry,
        } = arrived;
        let record = Self {
            open: workspace.open.begin(),
            entry: Entry {
                id: (*id.0).to_owned(),
                at: workspace.clock.now(),
                workspace: workspace.id.clone(),
                ..entry
            },
            workspace,
            started,
            redactor,
            noted: Noted::default(),
            facts: Facts::default(),
            made: Made::default(),
            own: None,
            model: None,
            span: Span::current(),
            pushed: false,
        };
        let Entry {
            id, method, path, ..
        } = &record.entry;
        record.workspace.tell("request_begun", || {
            json!(RequestBegun {
                request_id: id.clone(),
                method: method.clone().into_owned(),
                path: path.clone(),
                batch: None,
            })
        });
        record
    }

    /// Gives an answer its ids, and notes its head.
    pub(super) fn answered(&mut self, response: &mut Response, id: &RequestId) {
        name(response.headers_mut(), id);
        // Of who is not known the service tells no account. One that is recorded tells its own.
        if response.status() != StatusCode::UNAUTHORIZED && !self.noted.of_service {
            let headers = response.headers_mut();
            let [workspace, organization] = self.workspace.told_ids().clone();
            if let Ok(value) = HeaderValue::from_maybe_shared(workspace) {
                headers.insert(WORKSPACE_ID, value);
            }
            if let Ok(value) = HeaderValue::from_maybe_shared(organization) {
                headers.insert(ORGANIZATION_ID, value);
            }
        }
        self.entry.status = response.status().as_u16();
        // Nor does the journal keep whom the service serves.
        let is_told = !self.noted.of_service;
        let headers = response.headers().iter();
        let headers =
            headers.filter(|(name, _)| is_told || ![WORKSPACE_ID, ORGANIZATION_ID].contains(name));
        self.entry.response_headers =
            Headers::of_answer(headers.map(|header| clean_of_answer(header, &self.redactor)));
    }

    /// Keeps the body of an answer where nobody has noted it: JSON that lies whole in memory as it is, other answers
    /// whose length is known by that, and the rest as it passes by.
    pub(super) fn keep_body(&mut self, response: Response) -> Response {
        let noted = &mut self.noted;
        let is_noted = noted.response.is_some() || noted.passes;
        if is_noted || is_stream(&response) || self.entry.method == "HEAD" {
            return response;
        }
        let (head, mut body) = response.into_parts();
        let text = |name| {
            let value = head.headers.get(name)?;
            value.to_str().ok()
        };
        let announced = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let is_json = text(header::CONTENT_TYPE) == Some("application/json");
        match body.size_hint().exact() {
            Some(_) if is_json => {
                if let Some(bytes) = in_memory(&mut body) {
                    noted.response = Some(bytes.clone());
                    body = bytes.into();
                }
            }
            size => match size.or(announced) {
                Some(0) => {}
                Some(size_bytes) => noted.passed_bytes = Some(size_bytes),
                None => noted.passes = true,
            },
        }
        Response::from_parts(head, body)
    }

    /// Goes into the journal now, or, of an answer that passes by, at its end.
    pub(super) fn close(mut self, response: Response) -> Response {
        if is_stream(&response) || self.noted.passes {
            return response.map(|body| AnyBody::new(RecordedBody::new(body, self)));
        }
        self.finish(Ended::Whole);
        response
    }

    /// Once: later calls do nothing.
    fn finish(&mut self, ended: Ended) {
        if std::mem::replace(&mut self.pushed, true) {
            return;
        }
        let mut entry = std::mem::take(&mut self.entry);
        let noted = std::mem::take(&mut self.noted);
        let mut facts = std::mem::take(&mut self.facts);
        if entry.status == 0 {
            entry.status = ended.unsent();
        }
        entry.ended = ended;
        entry.duration = self.started.elapsed();
        // The journal keeps no larger one.
        let redactor = match &noted.request {
            Some(request) => self.redactor.clone().with_told_by(request),
            None => self.redactor.clone(),
        };
        let content = |bytes: Bytes| match bytes.len() {
            0..=CONTENT_BYTES => redactor.content(bytes).into(),
            _ => bytes.into(),
        };
        entry.request_body = noted.request.map_or(entry.request_body, content);
        entry.response_body = noted.response.map_or(entry.response_body, content);
        if let Some(size_bytes) = noted.passed_bytes {
            let sha256 = None;
            entry.response_body = Body::Omitted { size_bytes, sha256 };
        }
        if matches!(entry.request_body, Body::Empty) {
            let length = entry.request_headers.get("content-length");
            let length = length.and_then(|text| text.parse().ok());
            // What nobody has read is known by its length.
            if let Some(size_bytes @ 1..) = length {
                let sha256 = None;
                entry.request_body = Body::Omitted { size_bytes, sha256 };
            }
        }
        if let Some((size_bytes, digest)) = noted.file {
            let sha256 = Some(digest);
            let body = Body::Omitted { size_bytes, sha256 };
            match &*entry.method {
                "GET" => entry.response_body = body,
                _ => entry.request_body = body,
            }
        }
        let (mut done, mut container) = (TurnDone::default(), None);
        if let Some(report) = noted.report {
            let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
            entry.source = report.source.take();
            done = std::mem::take(&mut report.done);
            let steps = std::mem::take(&mut report.steps).into_iter();
            entry.steps = steps.map(|at| (at.step, at.line)).collect();
            container = report.container.take();
            let Facts {
                lints,
                miss,
                outputs,
                handed_on,
                paused,
                told,
                fired,
            } = std::mem::take(&mut report.facts);
            facts.lints.extend(lints);
            facts.fired.extend(fired);
            // Replay has noted what it knows itself.
            facts.miss = miss.or(facts.miss);
            facts.outputs.extend(outputs);
            facts.handed_on.extend(handed_on);
            facts.paused = paused.or(facts.paused);
            facts.told = told.or(facts.told);
        }
        facts.lints.extend(noted.lints);
        self.note_met(&entry, noted.as_sent);
        without_keys(&mut facts, &redactor);
        entry.missed = facts.are_of_a_miss();
        entry.fired = facts.fired.iter().map(Fired::describe).collect();
        entry.marks = noted.marks;
        entry.lints.clone_from(&facts.lints);
        without_key(&mut done, &redactor);
        let workspace = &self.workspace;
        // Without the span: it says the same.
        tracing::info!(
            target: REQUESTS,
            parent: None,
            method = &*entry.method,
            path = entry.path,
            status = entry.status,
            ms = millis(entry.duration),
            request_id = entry.id,
            workspace = workspace.id,
            model = done.model,
            rule = entry.source,
            container,
            client_left = (ended == Ended::ClientLeft).then_some(true),
            broke = (ended == Ended::Broke).then_some(true),
            "answered"
        );
        let seen = Seen {
            entry: &entry,
            started: self.started,
            clock: &workspace.clock,
            made: &self.made,
        };
        workspace.watch.note(seen, facts);
        if let Some(own) = self.own.take() {
            let brought = own.brought(Bringer {
                method: &entry.method,
                path: &entry.path,
                model: self.model.as_deref(),
            });
            workspace.watch.note_brought(&entry.id, brought);
        }
        let error = entry.stream_error();
        workspace.telemetry.request(&Done {
            request_id: &entry.id,
            workspace: Some(&workspace.id),
            started: self.started,
            duration: entry.duration,
            traceparent: entry.request_headers.get("traceparent"),
            method: &entry.method,
            path: &entry.path,
            status: entry.status,
            ended,
            error: error.as_deref(),
            item: None,
            turn: entry.source.is_some().then_some(&done),
            source: entry.source.as_deref(),
        });
        // Whoever hears of it finds it in the journal.
        let entry = workspace.journal.push(entry);
        workspace.tell("request_ended", || json!(self::ended(&entry)));
    }
}

/// What is told of an exchange that is in the journal.
pub(super) fn ended(entry: &Entry) -> RequestEnded {
    RequestEnded {
        request_id: entry.id.clone(),
        method: entry.method.clone().into_owned(),
        path: entry.path.clone(),
        batch: entry.batch.clone(),
        status: entry.status,
        duration_ms: millis(entry.duration),
        source: entry.source.clone(),
        lints: entry.lints.iter().map(Lint::told).collect(),
        client_left: entry.ended == Ended::ClientLeft,
        broke: entry.ended == Ended::Broke,
    }
}

impl Record {
    /// Counts what the client has met by this answer. What our own turns say is counted as it is made, unless a fault may
    /// change what leaves of it: then here, from what was sent.
    fn note_met(&self, entry: &Entry, as_sent: bool) {
        let coverage = &self.workspace.watch.coverage;
        let is_stream = entry.is_stream();
        if entry.ended == Ended::ClientLeft && !is_stream {
            return;
        }
        coverage.answered(&entry.method, &entry.path, entry.status);
        let is_recorded = entry.source.as_deref().is_some_and(is_recorded);
        if entry.status < 400 && !is_recorded && !as_sent {
            return;
        }
        let Body::Bytes(bytes) = &entry.response_body else {
            return;
        };
        if is_stream {
            coverage.mode(Mode::Streaming);
            let text = String::from_utf8_lossy(bytes);
            for event in split_frames(&text).filter_map(data_of_frame) {
                coverage.recorded_event(&event);
            }
        } else if let Ok(body) = serde_json::from_slice::<Value>(bytes) {
            if entry.status >= 400 {
                coverage.error(&body["error"]);
            } else if body["type"] == "message" {
                coverage.mode(Mode::Plain);
                coverage.recorded(&body);
            }
        }
    }
}

/// Whether an answer came from a recording, or from who is recorded.
fn is_recorded(source: &str) -> bool {
    source.starts_with("cassette ") || source.starts_with("upstream ")
}

impl Record {
    /// How an exchange ends that is dropped: its client has left, unless a panic of ours takes it away.
    fn dropped(&mut self) -> Ended {
        let Some(panicked) = caught::unwinding() else {
            return Ended::ClientLeft;
        };
        self.facts.miss = Some(panicked.miss());
        Ended::Broke
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let ended = self.dropped();
        self.finish(ended);
    }
}

/// Redacts the keys in what telemetry tells of a turn in the client's words.
pub(super) fn without_key(done: &mut TurnDone, redactor: &Redactor) {
    if let Some(model) = &mut done.model
        && let Cow::Owned(clean) = redactor.inside(model)
    {
        *model = clean;
    }
}

/// Redacts the keys in a verdict's messages, which may quote the request.
pub(super) fn without_keys(facts: &mut Facts, redactor: &Redactor) {
    for lint in &mut facts.lints {
        if let Cow::Owned(clean) = redactor.inside(&lint.message) {
            lint.message = clean.into();
        }
    }
    let (message, nearest) = match &mut facts.miss {
        Some(Miss::Unmatched { message, nearest }) => (message, nearest.as_mut_slice()),
        Some(Miss::Failed { message }) => (message, Default::default()),
        None => return,
    };
    *message = redactor.inside(message).into_owned();
    for failed in nearest.iter_mut().filter_map(|near| near.failed.as_mut()) {
        failed.got = redactor.inside(&failed.got).into_owned();
    }
}

/// A body that keeps what passes through it, up to what a journal takes.
struct RecordedBody {
    inner: AnyBody,
    kept: Vec<u8>,
    passed_bytes: u64,
    marks: Vec<Mark>,
    /// The head is out: it goes with the first bytes, or when the body pauses.
    begun: bool,
    record: Option<Record>,
}

impl RecordedBody {
    fn new(inner: AnyBody, record: Record) -> Self {
        Self {
            inner,
            kept: Vec::new(),
            passed_bytes: 0,
            marks: Vec::new(),
            begun: false,
            record: Some(record),
        }
    }

    /// Keeps these bytes, in little more room than they take: an open stream may be silent for long.
    fn keep(&mut self, bytes: &[u8]) {
        let room = limits::JOURNAL_BYTES.saturating_sub(self.kept.len());
        let bytes = &bytes[..bytes.len().min(room)];
        if self.kept.capacity() - self.kept.len() < bytes.len() {
            let more = bytes.len().max(self.kept.len() / 4);
            self.kept.reserve_exact(more);
        }
        self.kept.extend_from_slice(bytes);
    }

    /// Notes when these bytes were out.
    fn mark(&mut self) {
        if let Some(record) = &self.record
            && self.marks.len() < limits::JOURNAL_MARKS
        {
            let after_us = u32::try_from(record.started.elapsed().as_micros());
            self.marks.push(Mark {
                end_bytes: u32::try_from(self.kept.len()).unwrap_or(u32::MAX),
                after_us: after_us.unwrap_or(u32::MAX),
            });
        }
    }

    fn finish(&mut self, mut ended: Ended) {
        if let Some(mut record) = self.record.take() {
            record.noted.marks = std::mem::take(&mut self.marks);
            // Some clients close as soon as they have seen the last event.
            if ended == Ended::ClientLeft && is_complete(&self.kept) {
                ended = Ended::Whole;
            }
            if ended == Ended::Broke && !self.begun {
                record.entry.status = ended.unsent();
                record.entry.response_headers = Headers::default();
            }
            if self.passed_bytes > self.kept.len() as u64 {
                record.noted.passed_bytes = Some(self.passed_bytes);
            }
            record.noted.response = Some(std::mem::take(&mut self.kept).into());
            record.finish(ended);
        }
    }
}

impl Drop for RecordedBody {
    fn drop(&mut self) {
        if let Some(record) = &mut self.record {
            let ended = record.dropped();
            self.finish(ended);
        }
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
        let span = this.record.as_ref().map(|record| record.span.clone());
        let _within = span.as_ref().map(Span::enter);
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        this.begun |= !matches!(polled, Poll::Ready(Some(Err(_))));
        let frame = ready!(polled);
        match &frame {
            Some(Ok(frame)) => {
                if let Some(bytes) = frame.data_ref() {
                    this.passed_bytes += bytes.len() as u64;
                    this.keep(bytes);
                    this.mark();
                }
            }
            Some(Err(_)) => this.finish(Ended::Broke),
            None => this.finish(Ended::Whole),
        }
        Poll::Ready(frame)
    }
}

#[cfg(test)]
mod tests {
    use workspace::journal::Filter;

    use super::*;

    #[test]
    fn a_key_that_was_given_as_the_model_is_in_no_span() {
        const KEY: &str = "sk-ant-abcdefghijklmnopqrst";
        let redactor = Redactor::default().with_known([KEY]);
        for (model, told) in [(KEY, "[redacted]"), ("claude-opus-4-6", "claude-opus-4-6")] {
            let mut done = TurnDone {
                model: Some(model.to_owned()),
                ..TurnDone::default()
            };
            without_key(&mut done, &redactor);
            assert_eq!(done.model.as_deref(), Some(told));
        }
    }

    #[tokio::test]
    async fn an_answer_that_a_panic_takes_away_broke_and_its_client_has_not_left() {
        let dir = tempfile::tempdir().unwrap();
        let store = store::Store::open_with(dir.path(), store::Options::default()).unwrap();
        let app = App::for_store_with(store, crate::config::Config::default());
        let workspace = app.workspace_of_key("sk-ant-test").await.unwrap();
        let (head, ()) = http::Request::post("/v1/messages")
            .body(())
            .unwrap()
            .into_parts();
        let id = RequestId("req_1".into());
        let begin = || Record::begin(Arc::clone(&workspace), Arrived::now(&head), &id);
        let panics = |dropped: Box<dyn std::any::Any>| {
            let work = std::panic::AssertUnwindSafe(move || {
                let _dropped = dropped;
                panic!("on purpose");
            });
            assert!(std::panic::catch_unwind(work).is_err());
        };
        panics(Box::new(begin()));
        panics(Box::new(RecordedBody::new(AnyBody::empty(), begin())));
        drop(begin());
        let filter = Filter {
            path: None,
            status: None,
            method: None,
            id: None,
            since: None,
            limit: 10,
            cursor: None,
        };
        let ends = |entry: &Entry| (entry.status, entry.ended);
        let entries = workspace.journal.export(&filter);
        let ends: Vec<_> = entries.iter().map(|entry| ends(entry)).collect();
        let broke = (444, Ended::Broke);
        assert_eq!(ends, [broke, broke, (499, Ended::ClientLeft)]);
        assert_eq!(workspace.watch.findings("w").failed.len(), 2);
    }
}
