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
    serde_json::from_value::<T>(value.clone()).map_err(|error| {
        let why = error.to_string();
        wrong(match wrong_member::<T>(value, &why) {
            Some(name) if !why.contains(&format!("`{name}`")) => format!("`{name}`: {why}"),
            Some(_) | None => why,
        })
    })
}

/// The member without which what is wrong is no longer `why`.
fn wrong_member<T: DeserializeOwned>(value: Value, why: &str) -> Option<String> {
    let Value::Object(members) = value else {
        return None;
    };
    let mut names = members.keys();
    let found = names.find(|name| {
        let mut others = members.clone();
        others.shift_remove(*name);
        serde_json::from_value::<T>(others.into())
            .map_or_else(|error| error.to_string() != why, |_| true)
    });
    found.cloned()
}
