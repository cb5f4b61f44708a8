//! Health, readiness, and reset.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::error::ControlError;
use super::target::Targets;
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

/// Forgets everything of the workspaces: files, batches, containers and their sandboxes, scripts, clock, journal.
pub(super) async fn reset(
    State(app): State<App>,
    Targets(workspaces): Targets,
) -> Result<Json<Value>, ControlError> {
    let mut containers = 0;
    for workspace in &workspaces {
        app.batches.stop(Some(&workspace.id)).await;
        let cleared = app.store.clear_workspace(&workspace.id).await?;
        containers += cleared.containers.len();
        // Waited for: with a seed, the next container may have the id of one that goes.
        app.containers.discard(&cleared.containers).await;
        workspace.reset();
        app.store
            .save_clock(&workspace.id, workspace.clock.state())
            .await?;
    }
    Ok(Json(
        json!({ "workspaces": workspaces.len(), "containers": containers }),
    ))
}
