//! Health and readiness.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::App;
use crate::config::BackendChoice;

/// The server runs.
pub(super) async fn health(State(app): State<App>) -> Json<Value> {
    Json(json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "backend": app.containers.backend().name(),
        "profile": app.config.quirks.profile.name(),
    }))
}

/// What the server is for can be had at once: a container, or, where nothing is to run, answers. `sandboxes`
/// says which it is.
pub(super) async fn ready(State(app): State<App>) -> Response {
    let backend = app.containers.backend();
    let refused = backend.ready().await.err().map(|error| error.to_string());
    // Recordings need no sandbox, and whoever starts without a backend wants none.
    let without = app.config.cassettes.is_some() || app.config.backend == BackendChoice::None;
    let ok = refused.is_none() || without;
    let body = json!({
        "status": if ok { "ok" } else { "not_ready" },
        "backend": backend.name(),
        "sandboxes": refused.is_none(),
        "reason": refused,
    });
    let status = if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body)).into_response()
}
