//! `/_sandtable/quirks`: the profile and the rows a workspace sets for itself.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use control_api::Quirks;

use super::body::{Sent, json};
use super::error::ControlError;
use super::target::{Claims, Target};
use crate::app::App;
use workspace::Workspace;
use workspace::quirks::{self, Layer};

/// Every row as it holds for the workspace's requests.
pub(super) async fn show(Target(workspace): Target) -> Json<Quirks> {
    Json(describe(&workspace))
}

/// Sets the workspace's rows, and perhaps its profile; what is not named is as the server has it.
pub(super) async fn replace(
    State(app): State<App>,
    claims: Claims,
    Sent(body): Sent,
) -> Result<Json<Option<Quirks>>, ControlError> {
    let value = json(
        &body,
        r#"such as {"profile":"observed","container-idle":"270s"}"#,
    )?;
    let layer = Layer::from_json(&value).map_err(|error| ControlError::of(&error, ""))?;
    let mut answer = None;
    for workspace in claims.made(&app).await? {
        workspace.set_quirks(layer.clone());
        answer = Some(describe(&workspace));
    }
    Ok(Json(answer))
}

/// Back to what the server has.
pub(super) async fn clear(
    State(app): State<App>,
    claims: Claims,
) -> Result<StatusCode, ControlError> {
    for workspace in claims.made(&app).await? {
        workspace.set_quirks(Layer::default());
    }
    Ok(StatusCode::NO_CONTENT)
}

fn describe(workspace: &Workspace) -> Quirks {
    let layers = workspace.quirks();
    Quirks {
        profile: layers.profile.name().to_owned(),
        quirks: quirks::describe(&layers.quirks),
    }
}
