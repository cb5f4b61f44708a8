//! What is sent with a control call.

use std::cell::Cell;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
use serde_json::Value;

use super::error::ControlError;
use crate::api::unfinished;
use common::document;

/// A body that came whole.
pub(super) struct Sent(pub(super) Bytes);

/// Why one did not.
pub(super) enum Unsent {
    /// The layer over all calls says how large it may be.
    TooLarge(BytesRejection),
    Unfinished(ControlError),
}

impl IntoResponse for Unsent {
    fn into_response(self) -> Response {
        match self {
            Self::TooLarge(error) => error.into_response(),
            Self::Unfinished(error) => error.into_response(),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Unsent;

    async fn from_request(request: Request, state: &S) -> Result<Self, Unsent> {
        let body = Bytes::from_request(request, state).await;
        body.map(Self).map_err(|error| {
            if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                return Unsent::TooLarge(error);
            }
            let (status, message) = unfinished(&error);
            Unsent::Unfinished(ControlError::new(status, message, "send the call again"))
        })
    }
}

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
