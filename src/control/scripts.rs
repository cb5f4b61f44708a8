//! `/_sandtable/scripts`: replace, add, list, and clear the workspace's own rules.

use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::error::ControlError;
use super::target::{Target, Targets};
use crate::model::script::{Diagnostic, render};
use crate::work;

/// What messages call a script that came with a call.
const ORIGIN: &str = "request body";

/// All rules, in the order they are tried, with how often each was used.
pub(super) async fn list(Target(workspace): Target) -> Json<Value> {
    Json(json!({ "data": workspace.scripts.list() }))
}

/// Replaces the workspace's rules; the ones given by file stay below them.
pub(super) async fn replace(
    Targets(workspaces): Targets,
    body: String,
) -> Result<Json<Value>, ControlError> {
    let mut summary = Value::Null;
    for workspace in workspaces {
        summary = json!(
            work::apart(|| workspace.scripts.replace(&body, ORIGIN))
                .map_err(|faults| bad(&faults))?
        );
    }
    Ok(Json(summary))
}

/// Adds rules after the workspace's own.
pub(super) async fn add(
    Targets(workspaces): Targets,
    body: String,
) -> Result<Json<Value>, ControlError> {
    let mut summary = Value::Null;
    for workspace in workspaces {
        summary = json!(
            work::apart(|| workspace.scripts.add(&body, ORIGIN)).map_err(|faults| bad(&faults))?
        );
    }
    Ok(Json(summary))
}

/// Forgets the workspace's rules.
pub(super) async fn clear(Targets(workspaces): Targets) -> StatusCode {
    for workspace in workspaces {
        workspace.scripts.clear();
    }
    StatusCode::NO_CONTENT
}

fn bad(faults: &[Diagnostic]) -> ControlError {
    ControlError::bad(
        render(faults),
        "`sandtable docs scripts` has an example of every step",
    )
}
