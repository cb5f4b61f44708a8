//! `PUT /_sandtable/label`: whom a test runner has handed the workspace's key to.

use axum::Json;
use axum::body::Bytes;
use control_api::{Label, Labelled};
use serde_json::Value;

use super::error::ControlError;
use super::target::Target;
use common::limits;

const HINT: &str = r#"such as {"label":"tests/test_orders.py::test_refund"}"#;

/// Names the workspace; a reset leaves the name.
pub(super) async fn put(
    Target(workspace): Target,
    body: Bytes,
) -> Result<Json<Labelled>, ControlError> {
    let value: Value = serde_json::from_slice(&body)
        .map_err(|error| ControlError::bad(format!("the body is not JSON: {error}"), HINT))?;
    let Label { label } = serde_json::from_value(value).map_err(|_| {
        ControlError::bad(
            "the body must be an object with the text `label` alone",
            HINT,
        )
    })?;
    let chars = label.chars().count();
    if chars == 0 || chars > limits::MAX_LABEL_CHARS {
        let most = limits::MAX_LABEL_CHARS;
        return Err(ControlError::bad(
            format!("`label` has {chars} characters, and may have 1 to {most}"),
            HINT,
        ));
    }
    workspace.set_label(label.clone());
    let workspace = workspace.name.clone();
    Ok(Json(Labelled { workspace, label }))
}
