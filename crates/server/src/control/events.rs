//! `GET /_sandtable/events`: everything as it happens, as server-sent events.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use control_api::{Dropped, Event};
use futures_util::stream;
use serde_json::json;

use super::error::ControlError;
use super::target::Claims;
use crate::app::App;
use common::limits;
use workspace::events::{Heard, Subscription};

/// The workspace's events, or with `?workspace=*` those of all, of workspaces to come, too.
pub(super) async fn listen(
    State(app): State<App>,
    claims: Claims,
    uri: Uri,
) -> Result<Response, ControlError> {
    let workspaces = claims.made(&app).await?;
    let mut pairs = uri.query().unwrap_or_default().split('&');
    let all = pairs.any(|pair| matches!(pair, "workspace=*" | "workspace=%2A" | "workspace=%2a"));
    let wanted = workspaces
        .iter()
        .map(|workspace| workspace.id.clone())
        .collect();
    let heard = app
        .containers
        .events()
        .subscribe((!all).then_some(wanted))
        .ok_or_else(too_many)?;
    // At once, so that a reader knows that it misses nothing from now on.
    let hello = Bytes::from_static(b": listening\n\n");
    let first = stream::once(async { Ok::<_, Infallible>(hello) });
    let rest = stream::unfold(heard, |mut heard| async {
        let frame = next(&mut heard).await?;
        Some((Ok(frame), heard))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let body = futures_util::StreamExt::chain(first, rest);
    Ok((headers, Body::from_stream(body)).into_response())
}

/// Nobody else can listen.
pub(super) fn too_many() -> ControlError {
    ControlError::new(
        StatusCode::TOO_MANY_REQUESTS,
        format!("{} readers listen already", limits::EVENT_READERS),
        "close one",
    )
}

async fn next(heard: &mut Subscription) -> Option<Bytes> {
    let silence = limits::EVENT_PING_INTERVAL;
    let Ok(heard) = tokio::time::timeout(silence, heard.next()).await else {
        return Some(Bytes::from_static(b": ping\n\n"));
    };
    let (kind, data) = match heard? {
        Heard::Event(event) => (event.kind, event.to_json()),
        Heard::Dropped(count) => ("dropped", json!(Event::Dropped(Dropped { dropped: count }))),
    };
    Some(Bytes::from(format!("event: {kind}\ndata: {data}\n\n")))
}
