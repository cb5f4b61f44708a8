//! `/_sandtable/faults`: cause failures, see what they did, and forget them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use control_api::{FaultState, List, SetupPart};

use super::body::{Sent, json};
use super::error::ControlError;
use super::target::{Claims, Target};
use crate::app::{App, tell_setup};
use common::work;
use workspace::fault::{self, FaultError};

/// Every fault with its counts, in the order they are asked.
pub(super) async fn list(Target(workspace): Target) -> Json<List<FaultState>> {
    let data = workspace.fault_states();
    Json(List { data })
}

/// Adds one fault, or a list, after the workspace's own; with a mistake in it, none.
pub(super) async fn add(
    State(app): State<App>,
    claims: Claims,
    Sent(body): Sent,
) -> Result<Json<List<FaultState>>, ControlError> {
    let faults = work::apart_if_large(body.len(), || {
        let value = json(&body, r#"such as {"at":"http","status":529,"times":2}"#)?;
        fault::parse(&value).map_err(|error| bad(&error))
    })?;
    if let Some(trial) = claims.trial(&app) {
        trial
            .add_faults(faults.clone())
            .map_err(|error| bad(&error))?;
    }
    let mut data = Vec::new();
    for workspace in claims.made(&app).await? {
        data = workspace
            .add_faults(faults.clone())
            .map_err(|error| bad(&error))?;
        tell_setup(&workspace, SetupPart::Faults);
    }
    Ok(Json(List { data }))
}

/// Forgets the workspace's faults; those given by file stay.
pub(super) async fn clear(
    State(app): State<App>,
    claims: Claims,
) -> Result<StatusCode, ControlError> {
    for workspace in claims.made(&app).await? {
        workspace.faults.clear();
        tell_setup(&workspace, SetupPart::Faults);
    }
    Ok(StatusCode::NO_CONTENT)
}

fn bad(error: &FaultError) -> ControlError {
    ControlError::of(error, "")
}
