//! `PUT /_sandtable/label`: whom a test runner has handed the workspace's key to.

use axum::Json;
use axum::extract::State;
use control_api::{Label, Labelled};

use super::body::{Sent, object};
use super::error::ControlError;
use super::target::Claim;
use crate::app::App;
use common::limits;

const HINT: &str = r#"such as {"label":"tests/test_orders.py::test_refund"}"#;

/// Names the workspace; a reset leaves the name.
pub(super) async fn put(
    State(app): State<App>,
    claim: Claim,
    Sent(body): Sent,
) -> Result<Json<Labelled>, ControlError> {
    let Label { label } = object(&body, "label", HINT)?;
    let chars = label.chars().count();
    if chars == 0 || chars > limits::MAX_LABEL_CHARS {
        let most = limits::MAX_LABEL_CHARS;
        return Err(ControlError::bad(
            format!("`label` has {chars} characters, and may have 1 to {most}"),
            HINT,
        ));
    }
    let workspace = claim.made(&app).await?;
    workspace.set_label(label.clone());
    let workspace = workspace.name.clone();
    Ok(Json(Labelled { workspace, label }))
}
