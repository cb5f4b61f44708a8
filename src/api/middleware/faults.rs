//! HTTP faults: what a request gets before its handler sees it, and the header that brings faults along.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use super::recorded::Record;
use super::{Exchange, is_stream, keys, text_of};
use crate::api::cut;
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::Caller;
use crate::api::messages::service_error;
use crate::api::multipart;
use crate::api::shaped::{Line, Shaped};
use crate::cassette::Redactor;
use crate::engine::Report;
use crate::fault::{self, Act, Dice, Faults, HttpAct, Occasion, Struck};
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
    let bad = |message: String, hint: &str| {
        ApiError::invalid(format!("{HEADER}: {message} (hint: {hint})"))
    };
    let value: Value = serde_json::from_str(text).map_err(|error| {
        bad(
            format!("not JSON: {error}"),
            r#"such as {"at":"http","status":529}"#,
        )
    })?;
    let parsed = fault::parse(&value).map_err(|error| bad(error.message, &error.hint))?;
    // Events and verdicts tell a fault as it was given.
    let redactor = Redactor::default().with_known(keys(headers));
    let parsed = parsed
        .into_iter()
        .map(|fault| fault.told(|given| redactor.json(given)))
        .collect();
    let faults = Faults::new(Arc::default(), Dice::new(seed, request_id));
    faults
        .add(parsed)
        .map_err(|error| bad(error.message, "send fewer"))?;
    Ok(Some(Arc::new(faults)))
}

/// Lets the request on, perhaps later, or answers it. What fires is added to `fired`.
pub(super) async fn meet(
    caller: &Caller,
    request: Request,
    fired: &mut Vec<Struck>,
) -> Result<Request, Response> {
    let (own, all) = (caller.faults.as_deref(), &caller.workspace.faults);
    let layers: Vec<&Faults> = own.into_iter().chain([all]).collect();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let asks = layers
        .iter()
        .any(|faults| faults.asks_for_model(method.as_str(), &path));
    let (request, model) = if asks {
        read_model(request)
            .await
            .map_err(IntoResponse::into_response)?
    } else {
        (request, None)
    };
    let occasion = Occasion::Http {
        method: method.as_str(),
        path: &path,
        model: model.as_deref(),
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
    if let HttpAct::Wait(Some(span)) = act {
        if !caller.workspace.clock.is_frozen() {
            tokio::time::sleep(*span).await;
        }
        return Ok(request);
    }
    let sent = read_for_journal(caller, request).await;
    let response = match act {
        HttpAct::Wait(_) => std::future::pending().await,
        HttpAct::Cut => cut::response(Bytes::new(), "application/json"),
        HttpAct::Error { error, edge: false } => service_error(error.clone()).into_response(),
        HttpAct::Error { error, edge: true } => edge_response(error),
    };
    Err(with_source(response, sent))
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

fn is_json(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}

/// Reads `model` out of a JSON body, and puts the body back.
async fn read_model(request: Request) -> ApiResult<(Request, Option<String>)> {
    if !is_json(&request) {
        return Ok((request, None));
    }
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, limits::MAX_MESSAGES_BODY_BYTES)
        .await
        .map_err(|_| ApiError::too_large())?;
    // What is no JSON has no model; its handler says so.
    let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let model = value["model"].as_str().map(str::to_owned);
    Ok((Request::from_parts(parts, Body::from(bytes)), model))
}
