//! Health and readiness.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::App;

/// The server runs.
pub(super) async fn health(State(app): State<App>) -> Json<Value> {
    Json(json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "backend": app.containers.backend().name(),
        "profile": app.config.quirks.profile.name(),
    }))
}

/// A container could be had at once.
pub(super) async fn ready(State(app): State<App>) -> Response {
    match app.containers.backend().ready().await {
        Ok(()) => Json(json!({ "status": "ok" })).into_response(),
        Err(error) => {
            let body = json!({ "status": "not_ready", "reason": error.to_string() });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}
