//! What happens to every request under `/v1` before and after its handler: key, version, and betas in;
//! ids, the error envelope, and the journal out.

mod aim;
mod faults;
mod recorded;
mod version;

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tracing::Instrument as _;

use crate::api::batches;
use crate::api::era;
use crate::api::error::{ApiError, ApiResult, RequestId};
use crate::api::extract::{Betas, Caller};
use crate::api::replay;
use crate::api::shaped::Line;
use crate::app::App;
use crate::cassette::Redactor;
use crate::engine::Report;
use crate::fault::Faults;
use crate::hinted;
use crate::ids::{Ids, Kind};
use crate::journal::{Entry, Headers, Mark};
use crate::lint::Lint;
use crate::quirks::{Era, Layer};
use crate::verify::Made;
use crate::workspace::{OpenRequest, Workspace, WorkspaceError};

use recorded::{Record, RecordedBody};

/// Where the log's line of each request comes from.
pub(crate) const REQUESTS: &str = "sandtable::request";

/// A span in whole milliseconds.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A key that is always wrong, so that clients can test their 401.
const INVALID_KEY: &str = "sk-ant-invalid";

/// What a handler adds to its answer for the journal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exchange {
    pub(crate) request: Option<Bytes>,
    pub(crate) response: Option<Bytes>,
    /// The file that came, or that leaves: its length, and its SHA-256.
    pub(crate) file: Option<(u64, [u8; 32])>,
    /// What the turn says of itself; read when the answer is complete.
    pub(crate) report: Option<Arc<Mutex<Report>>>,
    /// When which part of a stream was out.
    pub(crate) marks: Vec<Mark>,
}

/// Finds the caller, runs the handler, and finishes the answer.
pub(crate) async fn caller(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    // Nothing that is noted of the request holds its key, wherever the client has put it.
    let redactor = Redactor::default().with_known(keys(request.headers()));
    let entry = entry_of(&request, &redactor);
    let line = request.extensions().get::<ConnectInfo<Line>>();
    let line = line.map_or_else(Line::default, |ConnectInfo(line)| line.clone());
    let workspace = match workspace(&app, request.headers()).await {
        Ok(workspace) => workspace,
        Err(error) => {
            app.workspaces.turned_away();
            let id = RequestId(Ids::random().next(Kind::Request));
            let (method, path, status) = (&entry.method, &entry.path, error.status().as_u16());
            let (ms, request_id) = (millis(started.elapsed()), id.0.as_str());
            tracing::info!(target: REQUESTS, method, path, status, ms, request_id, "answered");
            return write_error(finish(error.into_response(), &id), Some(&id));
        }
    };
    let id = RequestId(workspace.request_ids().next(Kind::Request));
    let entry = Entry {
        id: id.0.clone(),
        at: workspace.clock.now(),
        workspace: workspace.id.clone(),
        started: Some(started),
        ..entry
    };
    // At the level of errors, so that whatever is logged says whose it is.
    let span = tracing::error_span!("request", id = %id.0, workspace = %workspace.id);
    let record = span.in_scope(|| Record::begin(Arc::clone(&workspace), entry, started, redactor));
    let work = carry_out(&app, workspace, id, (record, line), request, next);
    work.instrument(span).await
}

async fn carry_out(
    app: &App,
    workspace: Arc<Workspace>,
    id: RequestId,
    // Dropped with this future if the client leaves before there is an answer.
    (mut record, line): (Record, Line),
    request: Request,
    next: Next,
) -> Response {
    let mut of_request = None;
    let mounted = workspace.cassettes.get();
    let called = match &mounted {
        Some(_) => lenient_caller(&workspace, &id, request.headers()).map(|it| (it, Vec::new())),
        None => read_caller(app, &workspace, &id, &request),
    };
    let response = match called {
        Ok((mut caller, notes)) => {
            caller.open = record.open.clone();
            record.facts.lints = notes;
            of_request.clone_from(&caller.faults);
            record.made = caller.made.clone();
            match (
                faults::meet(app, &caller, request, &mut record.facts.struck).await,
                mounted,
            ) {
                (Ok(request), Some(mounted)) => {
                    replay::answer(mounted, &caller, request, &mut record.facts).await
                }
                (Ok(mut request), None) => {
                    request.extensions_mut().insert(caller);
                    next.run(request).await
                }
                (Err(response), _) => response,
            }
        }
        Err(error) => error.into_response(),
    };
    let response = write_error(finish(response, &id), Some(&id));
    finish_for(record, response, of_request.as_deref(), line)
}

fn entry_of(request: &Request, redactor: &Redactor) -> Entry {
    Entry {
        method: redactor.text(request.method().as_str()).into_owned(),
        path: redactor.encoded(request.uri().path()),
        query: request.uri().query().map(|query| redactor.encoded(query)),
        request_headers: Headers::new(
            clean(request.headers(), redactor)
                .iter()
                .map(|(name, value)| (name.as_ref(), value.as_bytes())),
        ),
        ..Entry::default()
    }
}

/// Headers in which no key is left, in a name or a value.
fn clean<'a>(headers: &'a HeaderMap, redactor: &Redactor) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
    let clean = |value: &'a HeaderValue| match String::from_utf8_lossy(value.as_bytes()) {
        Cow::Borrowed(text) => redactor.inside(text),
        Cow::Owned(text) => Cow::Owned(redactor.inside(&text).into_owned()),
    };
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| (redactor.text(name.as_str()), clean(value)))
        .collect()
}

/// The workspace behind the request's key.
async fn workspace(app: &App, headers: &HeaderMap) -> ApiResult<Arc<Workspace>> {
    let mut sent = keys(headers).peekable();
    if app.cassettes.is_some() && sent.peek().is_none_or(|key| *key == INVALID_KEY) {
        // Whether a key is wrong, a recording says, or who is recorded.
        let key = sent.next().unwrap_or_default().to_owned();
        return of_key(app, &key).await;
    }
    if sent.peek().is_none() {
        return Err(ApiError::unauthenticated("x-api-key header is required"));
    }
    let key = sent
        .find(|key| *key != INVALID_KEY)
        .ok_or_else(|| ApiError::unauthenticated("invalid x-api-key"))?;
    of_key(app, key).await
}

/// The workspace behind a key. One that has just appeared may have batches from `--state` to run.
pub(crate) async fn workspace_of_key(
    app: &App,
    key: &str,
) -> Result<Arc<Workspace>, WorkspaceError> {
    let (workspace, is_new) = app.workspaces.of_key(key).await?;
    if is_new && app.workspaces.state().is_some() {
        batches::resume_in(app, &workspace).await?;
    }
    Ok(workspace)
}

async fn of_key(app: &App, key: &str) -> ApiResult<Arc<Workspace>> {
    workspace_of_key(app, key)
        .await
        .map_err(|error| match error {
            WorkspaceError::TooMany => ApiError::new(
                axum::http::StatusCode::TOO_MANY_REQUESTS,
                "rate_limit_error",
                format!("{error}; reuse keys, or restart the server"),
            ),
            WorkspaceError::Store(error) => error.into(),
        })
}

/// The caller as its headers say, and notes for the journal.
fn read_caller(
    app: &App,
    workspace: &Arc<Workspace>,
    id: &RequestId,
    request: &Request,
) -> ApiResult<(Caller, Vec<Lint>)> {
    let headers = request.headers();
    let read = version::read(headers, &app.config)?;
    let quirks = workspace.quirks().with(&quirks(headers)?).quirks;
    if quirks.era == Era::Beta2025 {
        era::check_version(&read.version)?;
        era::check_path(request.uri().path(), &read.betas)?;
    }
    let caller = Caller {
        workspace: Arc::clone(workspace),
        request_id: id.clone(),
        version: read.version,
        betas: read.betas,
        quirks,
        faults: faults::of_request(headers, workspace.seed, &id.0)?,
        made: Made::default(),
        open: OpenRequest::default(),
    };
    Ok((caller, read.notes))
}

/// The caller where a recording, or who is recorded, decides what is wrong with its headers.
fn lenient_caller(
    workspace: &Arc<Workspace>,
    id: &RequestId,
    headers: &HeaderMap,
) -> ApiResult<Caller> {
    Ok(Caller {
        workspace: Arc::clone(workspace),
        request_id: id.clone(),
        version: String::new(),
        betas: Betas::default(),
        quirks: workspace.quirks().with(&quirks(headers)?).quirks,
        faults: faults::of_request(headers, workspace.seed, &id.0)?,
        made: Made::default(),
        open: OpenRequest::default(),
    })
}

/// The quirks that a request sets for itself.
fn quirks(headers: &HeaderMap) -> ApiResult<Layer> {
    const HEADER: &str = "x-sandtable-quirk";
    let text = text_of(headers, HEADER)?.unwrap_or_default();
    Layer::from_text(text)
        .map_err(|error| ApiError::invalid(format!("{HEADER}: {}", hinted::in_line(&error))))
}

/// The text of a header of ours.
fn text_of<'a>(headers: &'a HeaderMap, name: &'static str) -> ApiResult<Option<&'a str>> {
    let value = headers.get(name).map(HeaderValue::to_str).transpose();
    value.map_err(|_| ApiError::invalid(format!("{name}: the value is not ASCII text")))
}

/// The key, from `x-api-key` or `authorization: Bearer` (F130).
pub(crate) fn key(headers: &HeaderMap) -> Option<&str> {
    keys(headers).next()
}

/// Both keys a request may carry, the one in `x-api-key` first.
pub(super) fn keys(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let text = |name: HeaderName| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    let bearer = text(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    [text(HeaderName::from_static("x-api-key")), bearer]
        .into_iter()
        .flatten()
        .filter(|key| !key.is_empty())
}

fn finish(mut response: Response, id: &RequestId) -> Response {
    // A recorded answer has the id that was recorded.
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().entry("request-id").or_insert(value);
    }
    response
}

/// Gives an answer that carries an [`ApiError`] its body.
pub(crate) fn write_error(mut response: Response, id: Option<&RequestId>) -> Response {
    let Some(error) = response.extensions_mut().remove::<ApiError>() else {
        return response;
    };
    let body = Bytes::from(error.body(id.map(|id| id.0.as_str())).to_string());
    let mut exchange = response
        .extensions_mut()
        .remove::<Exchange>()
        .unwrap_or_default();
    exchange.response = Some(body.clone());
    response.extensions_mut().insert(exchange);
    *response.body_mut() = Body::from(body);
    response
}

fn is_stream(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

fn finish_for(
    mut record: Record,
    mut response: Response,
    own: Option<&Faults>,
    line: Line,
) -> Response {
    let workspace = &record.workspace;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&workspace.id) {
        headers.insert("anthropic-workspace-id", value);
    }
    if let Ok(value) = HeaderValue::from_str(&workspace.organization_id) {
        headers.insert("anthropic-organization-id", value);
    }
    record.exchange = response
        .extensions_mut()
        .remove::<Exchange>()
        .unwrap_or_default();
    record.entry.status = response.status().as_u16();
    let headers = clean(response.headers(), &record.redactor);
    let headers = headers.iter();
    record.entry.response_headers =
        Headers::of_answer(headers.map(|(name, value)| (name.as_ref(), value.as_bytes())));
    let response = faults::on_the_wire(&mut record, own, line, response);
    if is_stream(&response) {
        return response.map(|body| Body::new(RecordedBody::new(body, record)));
    }
    record.push();
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn the_key_is_taken_from_either_header_and_x_api_key_first() {
        assert_eq!(
            key(&headers(&[
                ("x-api-key", "a"),
                ("authorization", "Bearer b")
            ])),
            Some("a")
        );
        assert_eq!(key(&headers(&[("authorization", "bearer b")])), Some("b"));
        assert_eq!(
            key(&headers(&[
                ("x-api-key", ""),
                ("authorization", "Bearer b")
            ])),
            Some("b")
        );
        assert_eq!(key(&headers(&[("authorization", "Basic b")])), None);
    }
}
