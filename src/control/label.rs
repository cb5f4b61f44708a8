//! `PUT /_sandtable/label`: whom a test runner has handed the workspace's key to.

use axum::Json;
use axum::body::Bytes;
use serde_json::{Value, json};

use super::error::ControlError;
use super::target::Target;
use crate::limits;

const HINT: &str = r#"such as {"label":"tests/test_orders.py::test_refund"}"#;

/// Names the workspace; a reset leaves the name.
pub(super) async fn put(
    Target(workspace): Target,
    body: Bytes,
) -> Result<Json<Value>, ControlError> {
    let value: Value = serde_json::from_slice(&body)
        .map_err(|error| ControlError::bad(format!("the body is not JSON: {error}"), HINT))?;
    let label = match value.as_object() {
        Some(members) if members.keys().all(|name| name == "label") => value["label"].as_str(),
        _ => None,
    };
    let label = label.ok_or_else(|| {
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
    workspace.set_label(label.to_owned());
    Ok(Json(json!({ "workspace": workspace.name, "label": label })))
}
