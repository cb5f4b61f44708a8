//! Message batches: `/v1/messages/batches`.

mod brings;
mod intake;
mod item;
mod persist;
mod results;
mod run;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::api::caller::Caller;
use crate::api::error::{ApiError, ApiResult};
use crate::api::exchange::{Exchange, Outcome};
use crate::api::paging::{self, IdPage};
use store::{BatchRow, BatchState};

pub(super) use intake::create;
pub(super) use results::results;
pub(crate) use run::{resume, resume_in, resume_newcomers};

fn not_found(id: &str) -> ApiError {
    ApiError::not_found(format!("Message Batch {id} not found."))
}

/// The caller's batch of this id. What cannot be read is the id of nothing.
async fn find(exchange: &Exchange, id: &str) -> ApiResult<BatchRow> {
    let (store, workspace) = (&exchange.app.store, &exchange.caller.workspace);
    let found = store.batch(&workspace.id, id).await?;
    let row = found.ok_or_else(|| not_found(id))?;
    if row.is_archived(workspace.clock.now()) {
        store.forget_batch_items(row.n).await?;
    }
    Ok(row)
}

/// Under which name the client reaches this server.
pub(super) fn base_url(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // Of several the first is what the client spoke; the others are of proxies on the way.
    let forwarded = |name| text(name)?.split(',').map(str::trim).next();
    let is_https =
        forwarded("x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
    let scheme = if is_https { "https" } else { "http" };
    let host = forwarded("x-forwarded-host").filter(|host| !host.is_empty());
    let host = host.or(text(header::HOST.as_str())).unwrap_or("localhost");
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
pub(super) async fn one(exchange: &Exchange, id: &str) -> Outcome {
    let row = find(exchange, id).await?;
    let mut response = answer(&row, &exchange.caller, exchange.headers());
    if row.state != BatchState::Ended {
        // Parity: recorded on a poll (F112).
        let seconds = HeaderValue::from_static("10");
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    Ok(response)
}

/// Lists the workspace's batches, newest first.
pub(super) async fn list(exchange: &Exchange) -> Outcome {
    let page = IdPage::parse(&exchange.query()?)?;
    let workspace = &exchange.caller.workspace;
    let store = &exchange.app.store;
    let rows = store.batches(&workspace.id).await?;
    let stood = match page.cursor() {
        Some(id) => store.deleted_batch(&workspace.id, id).await?,
        None => None,
    };
    let stood = stood.map(|place| rows.partition_point(|row| row.position() > place));
    let (rows, has_more) = page.cut("Message Batch", &rows, |row| &row.id, stood)?;
    let (now, base_url) = (workspace.clock.now(), base_url(exchange.headers()));
    let data: Vec<_> = rows
        .iter()
        .map(|row| to_wire(row, now, &base_url))
        .collect();
    Ok(Json(paging::id_page(&data, has_more)).into_response())
}

/// Lets nothing more of a batch begin. A body is not looked at: SDKs announce JSON and send none.
pub(super) async fn cancel(exchange: &Exchange, id: &str) -> Outcome {
    let row = find(exchange, id).await?;
    if row.state == BatchState::Ended {
        return Err(ApiError::invalid(format!(
            "Message Batch {} has already ended and cannot be canceled.",
            row.id
        )));
    }
    let (app, now) = (&exchange.app, exchange.caller.workspace.clock.now());
    let row = app
        .store
        .cancel_batch(row.n, now)
        .await?
        .ok_or_else(|| not_found(&row.id))?;
    app.batches.wake(row.n);
    Ok(answer(&row, &exchange.caller, exchange.headers()))
}

/// Deletes a batch that has ended, and its results.
pub(super) async fn delete(exchange: &Exchange, id: &str) -> Outcome {
    let row = find(exchange, id).await?;
    if row.state != BatchState::Ended {
        return Err(ApiError::invalid(
            "In progress batches cannot be deleted. Consider canceling the batch instead.",
        ));
    }
    if !exchange.app.store.drop_batch(row.n).await? {
        // Somebody else was quicker.
        find(exchange, id).await?;
    }
    Ok(Json(json!({ "id": row.id, "type": "message_batch_deleted" })).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_where_the_client_has_reached_the_server() {
        for (proto, scheme) in [
            ("https", "https"),
            ("HTTPS", "https"),
            ("https, http", "https"),
            ("http, https", "http"),
            ("", "http"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-proto", HeaderValue::from_static(proto));
            headers.insert(
                header::HOST,
                HeaderValue::from_static("sandtable.test:4010"),
            );
            let url = format!("{scheme}://sandtable.test:4010");
            assert_eq!(base_url(&headers), url, "{proto}");
            for (forwarded, host) in [
                ("relay.test:1", "relay.test:1"),
                (" relay.test:1 , front.test", "relay.test:1"),
                ("", "sandtable.test:4010"),
            ] {
                let mut headers = headers.clone();
                headers.insert("x-forwarded-host", HeaderValue::from_static(forwarded));
                assert_eq!(base_url(&headers), format!("{scheme}://{host}"));
            }
        }
        assert_eq!(base_url(&HeaderMap::new()), "http://localhost");
    }
}
