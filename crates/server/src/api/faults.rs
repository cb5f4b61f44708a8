//! HTTP faults: what a request gets before its handler sees it, and the header that brings faults along.

mod aim;

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;
use bytes::Bytes;
use chrono::TimeDelta;
use serde_json::Value;

use crate::api::caller::Caller;
use crate::api::cut;
use crate::api::error::{ApiError, ApiResult};
use crate::api::exchange::Exchange;
use crate::api::json::is_json;
use crate::api::key::keys;
use crate::api::multipart;
use crate::api::record::{Record, is_stream};
use crate::api::shaped::{Connection, Shaped};
use crate::app::MoveError;
use aim::Aim;
use cassette::Redactor;
use common::clock::Change;
use common::document;
use common::hinted::{self, Hinted, Mistake};
use common::limits;
use engine::Report;
use workspace::fault::{self, Act, Bringer, Dice, Faults, Fired, HttpAct, Occasion};
use workspace::telemetry::TurnDone;

/// Faults for one request, as one object or a list.
pub(super) const HEADER: &str = "x-sandtable-fault";

/// The faults that a request brings along; several headers are one list.
pub(super) fn of_request(
    head: &Parts,
    seed: Option<u64>,
    request_id: &str,
) -> ApiResult<Option<Arc<Faults>>> {
    let headers = &head.headers;
    if !headers.contains_key(HEADER) {
        return Ok(None);
    }
    let bringer = Bringer {
        method: head.method.as_str(),
        path: head.uri.path(),
        model: None,
    };
    let bad =
        |error: &dyn Hinted| ApiError::invalid(format!("{HEADER}: {}", hinted::in_line(error)));
    let mut parsed = Vec::new();
    for value in headers.get_all(HEADER) {
        let text = value.to_str().map_err(|_| ApiError::not_ascii(HEADER))?;
        let value: Value = document::json(text.as_bytes()).map_err(|error| {
            let wrong = Mistake::new(format!("{HEADER} {error}"));
            let wrong = wrong.with_hint(r#"such as {"at":"http","status":529}"#);
            ApiError::invalid(hinted::in_line(&wrong))
        })?;
        parsed.extend(fault::parse(&value).map_err(|error| bad(&error))?);
    }
    for fault in &parsed {
        fault.check_brought(bringer).map_err(|error| bad(&error))?;
    }
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

/// Lets the request on, perhaps later, or answers it. What fires is added to `noted`.
pub(super) async fn apply(
    exchange: &mut Exchange,
    noted: &mut Vec<Fired>,
) -> ApiResult<Option<Response>> {
    let (faults, workspace) = (
        exchange.caller.faults.clone(),
        Arc::clone(&exchange.caller.workspace),
    );
    let (own, all) = (faults.as_deref(), &workspace.faults);
    let mut layers = own.into_iter().chain([all]);
    let (method, uri) = (exchange.head.method.clone(), exchange.head.uri.clone());
    let (method, path) = (method.as_str(), uri.path());
    let mut aim = Aim::default();
    if layers.any(|faults| faults.asks_for_body(method, path)) {
        aim = aim::read(exchange).await?;
        let kept = aim.keep_existing(&exchange.app, &workspace);
        kept.await.map_err(|error| ApiError::failed(&error))?;
    }
    let occasion = Occasion::Http {
        method,
        path,
        model: aim.model.as_deref(),
        names_file: !aim.files.is_empty(),
    };
    let Some(fired) = workspace.fire(own, occasion) else {
        return Ok(None);
    };
    let fault = Arc::clone(&fired.fault);
    noted.push(fired);
    let Act::Http(act) = &fault.act else {
        return Ok(None);
    };
    tracing::info!(request.id = %exchange.caller.request_id.0, %fault, "a fault fires");
    let answer = match act {
        HttpAct::Wait(Some(span)) => {
            if !workspace.clock.is_frozen() {
                let ended = exchange.connection.set_ends_with_client(true);
                tokio::time::sleep(*span).await;
                exchange.connection.set_ends_with_client(ended);
            }
            return Ok(None);
        }
        HttpAct::Advance(by) => return advance(exchange, *by).await.map(|()| None),
        HttpAct::DeleteFile => return delete(exchange, &aim).await.map(|()| None),
        HttpAct::Wait(None) => None,
        HttpAct::Cut => Some(Ok(cut::response(Bytes::new(), "application/json"))),
        HttpAct::Error { error, edge } => {
            let error = ApiError::from(error.clone());
            Some(Err(if *edge { error.by_edge() } else { error }))
        }
    };
    exchange.noted.request = read_for_journal(exchange).await;
    let asked = exchange.noted.request.as_deref();
    let asked = asked.filter(|_| path == "/v1/messages");
    // The journal says that a fault answered.
    let report = Report {
        source: Some("fault".to_owned()),
        done: TurnDone {
            model: asked.and_then(aim::model_of),
            ..TurnDone::default()
        },
        ..Report::default()
    };
    exchange.noted.report = Some(Arc::new(Mutex::new(report)));
    let Some(answer) = answer else {
        exchange.connection.set_ends_with_client(true);
        return std::future::pending().await;
    };
    answer.map(Some)
}

/// Moves the clock before the request is handled.
async fn advance(exchange: &Exchange, by: TimeDelta) -> ApiResult<()> {
    let workspace = &exchange.caller.workspace;
    let change = Change {
        advance: Some(by),
        ..Change::default()
    };
    let workspaces = std::slice::from_ref(workspace);
    match exchange.app.move_clocks(workspaces, change).await {
        Ok(()) => Ok(()),
        Err(MoveError::Backwards(error)) => {
            tracing::warn!(%error, "a fault could not move the clock");
            Ok(())
        }
        Err(MoveError::Store(error)) => Err(ApiError::failed(&error)),
    }
}

/// Deletes the first file that the request names before the request is handled.
async fn delete(exchange: &Exchange, aim: &Aim) -> ApiResult<()> {
    let Some(file) = aim.files.first() else {
        return Ok(());
    };
    let workspace = &exchange.caller.workspace;
    let deleted = exchange.app.store.delete_file(&workspace.id, file).await;
    deleted.map_err(|error| ApiError::failed(&error))?;
    // Nobody can fetch it any more: that is not the client's fault.
    workspace.watch.hands_on(file);
    Ok(())
}

/// Whether a wire fault may change what leaves of an answer.
pub(super) fn may_change(caller: &Caller) -> bool {
    let mut layers = caller
        .faults
        .as_deref()
        .into_iter()
        .chain([&caller.workspace.faults]);
    layers.any(Faults::are_of_wires)
}

/// Lets the answer's bytes travel as a wire fault says.
pub(super) fn on_the_wire(
    record: &mut Record,
    connection: Connection,
    response: Response,
) -> Response {
    // What has no body has no way on which something could happen to it.
    if record.entry.method == "HEAD" {
        return response;
    }
    let workspace = Arc::clone(&record.workspace);
    let own = record.own.clone();
    let own = own.as_deref();
    let mut layers = own.into_iter().chain([&workspace.faults]);
    if layers.any(Faults::ask_for_model) {
        record.model = record.noted.request.as_deref().and_then(aim::model_of);
    }
    let occasion = Occasion::Wire {
        method: &record.entry.method,
        path: &record.entry.path,
        model: record.model.as_deref(),
        stream: is_stream(&response),
    };
    let Some(fired) = workspace.fire(own, occasion) else {
        return response;
    };
    let Act::Wire(act) = &fired.fault.act else {
        return response;
    };
    let act = act.clone();
    tracing::info!(request.id = %record.entry.id, fault = %fired.fault, "a fault fires");
    record.facts.fired.push(fired);
    // Where it ends is seen there, and not before.
    record.noted.passes = true;
    let ids = workspace.ids(&[b"wire", record.entry.id.as_bytes()]);
    let clock = workspace.clock.clone();
    let (mut parts, body) = response.into_parts();
    // The length is true no more, or not yet.
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(
        parts,
        Body::new(Shaped::new(body, act, clock, ids, connection)),
    )
}

/// The body of a request that its handler never sees: whether a later one repeats it is known by that.
async fn read_for_journal(exchange: &mut Exchange) -> Option<Bytes> {
    let kind = exchange.headers().get(header::CONTENT_TYPE);
    let boundary = kind
        .and_then(|value| value.to_str().ok())
        .and_then(multipart::boundary);
    if boundary.is_none() && !is_json(exchange.headers()) {
        return None;
    }
    let body = exchange.take_body().ok()?;
    let body = axum::body::to_bytes(body, limits::FAULTED_BODY_BYTES);
    let body = body.await.ok()?;
    let Some(boundary) = boundary else {
        return Some(body);
    };
    if let Some(content) = multipart::content_of(&boundary, body) {
        exchange.caller.made.says(content);
    }
    None
}
