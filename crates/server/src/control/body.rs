//! What is sent with a control call.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ControlError;
use common::document;

/// The body as JSON.
pub(super) fn json(body: &[u8], hint: &str) -> Result<Value, ControlError> {
    document::json(body).map_err(|error| ControlError::bad(format!("the body {error}"), hint))
}

/// The body as an object of this kind; `kind` says which.
pub(super) fn object<T: DeserializeOwned>(
    body: &[u8],
    kind: &str,
    hint: &str,
) -> Result<T, ControlError> {
    let wrong = |why: String| ControlError::bad(format!("the body is no {kind}: {why}"), hint);
    let value = json(body, hint)?;
    // A list would be taken for the members in their order.
    if !value.is_object() {
        return Err(wrong("it must be an object".to_owned()));
    }
    serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
}
