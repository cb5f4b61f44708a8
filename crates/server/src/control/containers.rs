//! `GET /_sandtable/containers`, and ending or putting to sleep one of them.

use std::cmp::Reverse;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use control_api::{Container, ContainerEnded, ContainerState, List, Readable};

use super::error::ControlError;
use super::target::{Target, Targets};
use crate::app::App;
use engine::container::{Found, ends_at, is_over};
use store::{self, ContainerRow};
use workspace::Workspace;

/// The workspace's containers, newest first.
pub(super) async fn list(
    State(app): State<App>,
    Targets(workspaces): Targets,
) -> Result<Json<List<Container>>, ControlError> {
    let mut data = Vec::new();
    for workspace in workspaces {
        for row in app.store.containers(&workspace.id).await? {
            data.push(describe(&app, &workspace, &row));
        }
    }
    // Of one workspace they are so already.
    data.sort_by_key(|container| Reverse(container.created_at));
    Ok(Json(List { data }))
}

fn describe(app: &App, workspace: &Workspace, row: &ContainerRow) -> Container {
    Container {
        id: row.id.clone(),
        workspace: workspace.name.clone(),
        state: state(app, workspace, row),
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        expires_at: row.expires_at,
        ends_at: ends_at(row.created_at),
        files: readable(app, workspace, row),
        pending: app.containers.is_pending(&row.sandbox),
    }
}

/// The state of a container on the workspace's clock.
pub(super) fn state(app: &App, workspace: &Workspace, row: &ContainerRow) -> ContainerState {
    let over = row.state == store::ContainerState::Expired
        || is_over(row, workspace.clock.now(), idle(workspace));
    match (over, app.containers.is_awake(&row.sandbox)) {
        (true, _) => ContainerState::Expired,
        (false, true) => ContainerState::Awake,
        (false, false) => ContainerState::Asleep,
    }
}

/// Whether a container's files can be had.
pub(super) fn readable(app: &App, workspace: &Workspace, row: &ContainerRow) -> Readable {
    match state(app, workspace, row) {
        ContainerState::Awake => Readable::Readable,
        ContainerState::Asleep if row.tree_waits => Readable::Readable,
        ContainerState::Asleep if row.started => Readable::Asleep,
        ContainerState::Expired | ContainerState::Asleep => Readable::None,
    }
}

fn idle(workspace: &Workspace) -> Option<chrono::TimeDelta> {
    workspace.quirks().quirks.container_idle.0
}

/// Ends a container now, as if its 30 days were over.
pub(super) async fn expire(
    State(app): State<App>,
    Target(workspace): Target,
    Path(id): Path<String>,
) -> Result<Json<ContainerEnded>, ControlError> {
    if !app.containers.expire(&workspace, &id).await? {
        return Err(unknown(&id));
    }
    Ok(ended(id, ContainerState::Expired))
}

/// Ends a container's sandbox; its files stay, and the next use starts it again.
pub(super) async fn sleep(
    State(app): State<App>,
    Target(workspace): Target,
    Path(id): Path<String>,
) -> Result<Json<ContainerEnded>, ControlError> {
    match app
        .containers
        .find(&workspace, &id, idle(&workspace))
        .await?
    {
        Found::Missing => Err(unknown(&id)),
        Found::Expired => Ok(ended(id, ContainerState::Expired)),
        Found::Alive(container) => {
            app.containers
                .sleep(&container)
                .await
                .map_err(|error| ControlError::internal(&error))?;
            Ok(ended(id, ContainerState::Asleep))
        }
    }
}

fn ended(id: String, state: ContainerState) -> Json<ContainerEnded> {
    Json(ContainerEnded { id, state })
}

pub(super) fn unknown(id: &str) -> ControlError {
    ControlError::new(
        StatusCode::NOT_FOUND,
        format!("no container `{id}` in this workspace"),
        "`GET /_sandtable/containers` lists them",
    )
}
