//! HTTP faults: what a request gets before its handler sees it, and the header that brings faults along.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::aim::{self, Aim};
use super::recorded::Record;
use super::{Exchange, is_stream, keys, text_of};
use crate::api::cut;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::Caller;
use crate::api::messages::service_error;
use crate::api::multipart;
use crate::api::shaped::{Line, Shaped};
use crate::app::App;
use crate::cassette::Redactor;
use crate::engine::Report;
use crate::fault::{self, Act, Dice, Faults, HttpAct, Occasion, Struck};
use crate::hinted::{self, Hinted, Mistake};
use crate::limits;
use crate::model::ServiceError;

/// Faults for one request, as one object or a list.
const HEADER: &str = "x-sandtable-fault";

/// The faults that a request brings along.
pub(super) fn of_request(
    headers: &HeaderMap,
    seed: Option<u64>,
    request_id: &str,
) -> ApiResult<Option<Arc<Faults>>> {
    let Some(text) = text_of(headers, HEADER)? else {
        return Ok(None);
    };
    let bad =
        |error: &dyn Hinted| ApiError::invalid(format!("{HEADER}: {}", hinted::in_line(error)));
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let wrong = Mistake::caused("not JSON", error);
        bad(&wrong.with_hint(r#"such as {"at":"http","status":529}"#))
    })?;
    let parsed = fault::parse(&value).map_err(|error| bad(&error))?;
    // Events and verdicts tell a fault as it was given.
    let redactor = Redactor::default().with_known(keys(headers));
    let parsed = parsed
        .into_iter()
        .map(|fault| fault.told(|given| redactor.json(given)))
        .collect();
    let faults = Faults::new(Arc::default(), Dice::new(seed, request_id));
    faults
        .add(parsed)
        .map_err(|error| bad(&Mistake::new(error.message).with_hint("send fewer")))?;
    Ok(Some(Arc::new(faults)))
}

/// Lets the request on, perhaps later, or answers it. What fires is added to `fired`.
pub(super) async fn meet(
    app: &App,
    caller: &Caller,
    request: Request,
    fired: &mut Vec<Struck>,
) -> Result<Request, Response> {
    let (own, all) = (caller.faults.as_deref(), &caller.workspace.faults);
    let layers: Vec<&Faults> = own.into_iter().chain([all]).collect();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let asks = layers
        .iter()
        .any(|faults| faults.asks_for_body(method.as_str(), &path));
    let (request, aim) = if asks {
        let (request, mut aim) = aim::read(request)
            .await
            .map_err(IntoResponse::into_response)?;
        aim.keep_existing(app, &caller.workspace)
            .await
            .map_err(|error| ApiError::failed(&error).into_response())?;
        (request, aim)
    } else {
        (request, Aim::default())
    };
    let occasion = Occasion::Http {
        method: method.as_str(),
        path: &path,
        model: aim.model.as_deref(),
        names_file: !aim.files.is_empty(),
    };
    let Some(struck) = caller.workspace.strike(own, occasion) else {
        return Ok(request);
    };
    let fault = Arc::clone(&struck.fault);
    fired.push(struck);
    let Act::Http(act) = &fault.act else {
        return Ok(request);
    };
    tracing::info!(request.id = %caller.request_id.0, %method, path, ?act, "a fault fires");
    let answer = match act {
        HttpAct::Wait(Some(span)) => {
            if !caller.workspace.clock.is_frozen() {
                tokio::time::sleep(*span).await;
            }
            return Ok(request);
        }
        HttpAct::Advance(by) => return advance(app, caller, *by).await.map(|()| request),
        HttpAct::DeleteFile => return delete(app, caller, &aim).await.map(|()| request),
        HttpAct::Wait(None) => None,
        HttpAct::Cut => Some(cut::response(Bytes::new(), "application/json")),
        HttpAct::Error { error, edge: false } => Some(service_error(error.clone()).into_response()),
        HttpAct::Error { error, edge: true } => Some(edge_response(error)),
    };
    let sent = read_for_journal(caller, request).await;
    match answer {
        Some(answer) => Err(with_source(answer, sent)),
        None => std::future::pending().await,
    }
}

/// Moves the clock before the request is handled.
async fn advance(app: &App, caller: &Caller, by: TimeDelta) -> Result<(), Response> {
    let workspace = &caller.workspace;
    if let Err(error) = workspace.clock.advance(by) {
        tracing::warn!(%error, "a fault could not move the clock");
        return Ok(());
    }
    let moved = app.clock_moved(workspace).await;
    moved.map_err(|error| ApiError::failed(&error).into_response())
}

/// Deletes the first file that the request names before the request is handled.
async fn delete(app: &App, caller: &Caller, aim: &Aim) -> Result<(), Response> {
    let Some(file) = aim.files.first() else {
        return Ok(());
    };
    let workspace = &caller.workspace;
    let deleted = app.store.delete_file(&workspace.id, file).await;
    deleted.map_err(|error| ApiError::failed(&error).into_response())?;
    // Nobody can fetch it any more: that is not the client's fault.
    workspace.watch.hands_on(file);
    Ok(())
}

/// Lets the answer's bytes travel as a wire fault says.
pub(super) fn on_the_wire(
    record: &mut Record,
    own: Option<&Faults>,
    line: Line,
    response: Response,
) -> Response {
    let workspace = Arc::clone(&record.workspace);
    let occasion = Occasion::Wire {
        method: &record.entry.method,
        path: &record.entry.path,
        stream: is_stream(&response),
    };
    let Some(struck) = workspace.strike(own, occasion) else {
        return response;
    };
    let Act::Wire(act) = &struck.fault.act else {
        return response;
    };
    let act = act.clone();
    tracing::info!(request.id = %record.entry.id, ?act, "a fault fires");
    record.facts.struck.push(struck);
    let ids = workspace.ids(&[b"wire", record.entry.id.as_bytes()]);
    let clock = workspace.clock.clone();
    let (mut parts, body) = response.into_parts();
    // The length is true no more, or not yet.
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::new(Shaped::new(body, act, clock, ids, line)))
}

/// The journal says that a fault answered.
fn with_source(mut response: Response, sent: Option<Bytes>) -> Response {
    let report = Report {
        source: Some("fault".to_owned()),
        ..Report::default()
    };
    let extensions = response.extensions_mut();
    let mut exchange = extensions.remove::<Exchange>().unwrap_or_default();
    exchange.request = sent;
    exchange.report = Some(Arc::new(std::sync::Mutex::new(report)));
    extensions.insert(exchange);
    response
}

/// Parity: what the service's edge refuses has no outer `type` and no request id (F135).
fn edge_response(error: &ServiceError) -> Response {
    let body = json!({ "error": { "type": error.kind, "message": error.message } }).to_string();
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::FORBIDDEN);
    let headers = [(header::CONTENT_TYPE, "application/json")];
    let mut response = (status, headers, body.clone()).into_response();
    for (name, value) in &error.headers {
        if let (Ok(name), Ok(value)) = (
            header::HeaderName::try_from(name),
            HeaderValue::from_str(value),
        ) {
            response.headers_mut().insert(name, value);
        }
    }
    response.extensions_mut().insert(Exchange {
        response: Some(Bytes::from(body)),
        ..Exchange::default()
    });
    response
}

/// The body of a request that its handler never sees: whether a later one repeats it is known by that.
async fn read_for_journal(caller: &Caller, request: Request) -> Option<Bytes> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let boundary = kind
        .and_then(|value| value.to_str().ok())
        .and_then(multipart::boundary);
    if boundary.is_none() && !is_json(&request) {
        return None;
    }
    let body = axum::body::to_bytes(request.into_body(), limits::FAULTED_BODY_BYTES);
    let body = body.await.ok()?;
    let Some(boundary) = boundary else {
        return Some(body);
    };
    if let Some(content) = multipart::content_of(&boundary, body) {
        caller.made.says(content);
    }
    None
}

pub(super) fn is_json(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}
