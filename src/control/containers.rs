//! `GET /_sandtable/containers`, and ending or putting to sleep one of them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::error::ControlError;
use super::target::{Target, Targets};
use crate::app::App;
use crate::clock::rfc3339_micros;
use crate::container::{Found, ends_at, is_over};
use crate::store::{ContainerRow, ContainerState};
use crate::workspace::Workspace;

/// The workspace's containers, newest first.
pub(super) async fn list(
    State(app): State<App>,
    Targets(workspaces): Targets,
) -> Result<Json<Value>, ControlError> {
    let mut data = Vec::new();
    for workspace in workspaces {
        for row in app.store.containers(&workspace.id).await? {
            data.push(describe(&app, &workspace, &row));
        }
    }
    Ok(Json(json!({ "data": data })))
}

fn describe(app: &App, workspace: &Workspace, row: &ContainerRow) -> Value {
    let over = row.state == ContainerState::Expired
        || is_over(row, workspace.clock.now(), idle(workspace));
    let state = match (over, app.containers.is_awake(&row.sandbox)) {
        (true, _) => "expired",
        (false, true) => "awake",
        (false, false) => "asleep",
    };
    json!({
        "id": row.id,
        "workspace": workspace.name,
        "state": state,
        "created_at": rfc3339_micros(row.created_at),
        "last_used_at": rfc3339_micros(row.last_used_at),
        "expires_at": rfc3339_micros(row.expires_at),
        "ends_at": rfc3339_micros(ends_at(row.created_at)),
    })
}

fn idle(workspace: &Workspace) -> Option<chrono::TimeDelta> {
    workspace.quirks().quirks.container_idle.0
}

/// Ends a container now, as if its 30 days were over.
pub(super) async fn expire(
    State(app): State<App>,
    Target(workspace): Target,
    Path(id): Path<String>,
) -> Result<Json<Value>, ControlError> {
    if !app.containers.expire(&workspace, &id).await? {
        return Err(unknown(&id));
    }
    Ok(Json(json!({ "id": id, "state": "expired" })))
}

/// Ends a container's sandbox; its files stay, and the next use starts it again.
pub(super) async fn sleep(
    State(app): State<App>,
    Target(workspace): Target,
    Path(id): Path<String>,
) -> Result<Json<Value>, ControlError> {
    match app
        .containers
        .find(&workspace, &id, idle(&workspace))
        .await?
    {
        Found::Missing => Err(unknown(&id)),
        Found::Expired => Ok(Json(json!({ "id": id, "state": "expired" }))),
        Found::Alive(container) => {
            app.containers
                .sleep(&container)
                .await
                .map_err(|error| ControlError::internal(&error))?;
            Ok(Json(json!({ "id": id, "state": "asleep" })))
        }
    }
}

fn unknown(id: &str) -> ControlError {
    ControlError::new(
        StatusCode::NOT_FOUND,
        format!("no container `{id}` in this workspace"),
        "`GET /_sandtable/containers` lists them",
    )
}
