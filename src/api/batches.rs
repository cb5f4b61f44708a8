//! Message batches: `/v1/messages/batches`.

mod intake;
mod item;
mod results;
mod run;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::Caller;
use crate::api::paging::{self, IdPage};
use crate::app::App;
use crate::store::{BatchRow, BatchState};

pub(crate) use run::{resume, resume_in};

/// The routes.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/v1/messages/batches", post(intake::create).get(list))
        .route("/v1/messages/batches/{id}", get(one).delete(delete))
        .route("/v1/messages/batches/{id}/cancel", post(cancel))
        .route("/v1/messages/batches/{id}/results", get(results::results))
}

type BatchId = Result<Path<String>, PathRejection>;

fn not_found(id: &str) -> ApiError {
    ApiError::not_found(format!("Message Batch `{id}` not found."))
}

/// The caller's batch of this id. What cannot be read is the id of nothing.
async fn find(app: &App, caller: &Caller, id: BatchId) -> ApiResult<BatchRow> {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    let found = app.store.batch(&caller.workspace.id, &id).await?;
    let row = found.ok_or_else(|| not_found(&id))?;
    if row.is_archived(caller.workspace.clock.now()) {
        app.store.forget_batch_items(row.n).await?;
    }
    Ok(row)
}

/// Under which name the client reaches this server.
fn base_url(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = match text("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    let host = text(header::HOST.as_str()).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// A batch as the API prints it.
fn to_wire(row: &BatchRow, now: DateTime<Utc>, base_url: &str) -> Value {
    // Parity: recorded with `+00:00`, unlike other times (F111).
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, false);
    let ended = row.state == BatchState::Ended;
    let archived = row.is_archived(now);
    let results_url =
        (ended && !archived).then(|| format!("{base_url}/v1/messages/batches/{}/results", row.id));
    json!({
        "id": row.id,
        "type": "message_batch",
        "processing_status": row.state.name(),
        "request_counts": {
            "processing": if ended { 0 } else { row.total },
            "succeeded": row.succeeded,
            "errored": row.errored,
            "canceled": row.canceled,
            "expired": row.expired,
        },
        "ended_at": row.ended_at.map(time),
        "created_at": time(row.created_at),
        "expires_at": time(row.expires_at()),
        "archived_at": archived.then(|| time(row.archived_at())),
        "cancel_initiated_at": row.cancel_initiated_at.map(time),
        "results_url": results_url,
    })
}

fn answer(row: &BatchRow, caller: &Caller, headers: &HeaderMap) -> Response {
    let body = to_wire(row, caller.workspace.clock.now(), &base_url(headers));
    Json(body).into_response()
}

/// One batch.
async fn one(
    State(app): State<App>,
    caller: Caller,
    id: BatchId,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let row = find(&app, &caller, id).await?;
    let mut response = answer(&row, &caller, &headers);
    if row.state != BatchState::Ended {
        // Parity: recorded on a poll (F112).
        let seconds = HeaderValue::from_static("10");
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    Ok(response)
}

/// Lists the workspace's batches, newest first.
async fn list(
    State(app): State<App>,
    caller: Caller,
    query: paging::PairsResult,
    headers: HeaderMap,
) -> ApiResult<Json<Value>> {
    let page = IdPage::parse(&paging::pairs(query)?)?;
    let rows = app.store.batches(&caller.workspace.id).await?;
    let (rows, has_more) = page.cut("Message Batch", &rows, |row| &row.id)?;
    let (now, base_url) = (caller.workspace.clock.now(), base_url(&headers));
    let data: Vec<_> = rows
        .iter()
        .map(|row| to_wire(row, now, &base_url))
        .collect();
    Ok(Json(paging::id_page(&data, has_more)))
}

/// Lets nothing more of a batch begin. A body is not looked at: SDKs announce JSON and send none.
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    id: BatchId,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let row = find(&app, &caller, id).await?;
    if row.state == BatchState::Ended {
        return Err(ApiError::invalid(format!(
            "Message Batch `{}` has already ended and cannot be canceled.",
            row.id
        )));
    }
    let now = caller.workspace.clock.now();
    let row = app
        .store
        .cancel_batch(row.n, now)
        .await?
        .ok_or_else(|| not_found(&row.id))?;
    app.batches.wake(row.n);
    Ok(answer(&row, &caller, &headers))
}

/// Deletes a batch that has ended, and its results.
async fn delete(State(app): State<App>, caller: Caller, id: BatchId) -> ApiResult<Json<Value>> {
    let row = find(&app, &caller, id).await?;
    if row.state != BatchState::Ended {
        return Err(ApiError::invalid(format!(
            "Message Batch `{}` is still in progress and cannot be deleted; cancel it first.",
            row.id
        )));
    }
    app.store.drop_batch(row.n).await?;
    Ok(Json(
        json!({ "id": row.id, "type": "message_batch_deleted" }),
    ))
}
