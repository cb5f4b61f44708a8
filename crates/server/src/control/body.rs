//! What is sent with a control call.

use std::cell::Cell;

use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
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
    let Value::Object(members) = &value else {
        return Err(wrong("it must be an object".to_owned()));
    };
    // The member that is being read, for a mistake in its value.
    let at = Cell::new(None);
    let mut members = members.iter();
    let members = std::iter::from_fn(|| {
        let member = members.next();
        at.set(member.map(|(name, _)| name));
        member.map(|(name, value)| (name.as_str(), value))
    });
    T::deserialize(MapDeserializer::new(members)).map_err(|error: serde_json::Error| {
        let why = error.to_string();
        wrong(match at.get() {
            Some(name) if !why.contains(&format!("`{name}`")) => format!("`{name}`: {why}"),
            Some(_) | None => why,
        })
    })
}
