//! The errors of the control surface: `{"error":{"message","hint"}}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use control_api::{Refusal, Refused};

use common::hinted::{self, Hinted};

/// A refused control call.
#[derive(Debug)]
pub(super) struct ControlError {
    status: StatusCode,
    said: Refusal,
}

impl ControlError {
    pub(super) fn new(
        status: StatusCode,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            status,
            said: Refusal {
                message: message.into(),
                hint: hint.into(),
            },
        }
    }

    /// An error of the caller, in the error's own words; `usual` is the hint where it has none.
    pub(super) fn of(error: &dyn Hinted, usual: &str) -> Self {
        let (message, hint) = hinted::split(error);
        Self::bad(message, hint.as_deref().unwrap_or(usual))
    }

    pub(super) fn bad(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message, hint)
    }

    pub(super) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a control call failed inside sandtable");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the call failed inside sandtable",
            "see the server's log",
        )
    }
}

impl From<store::StoreError> for ControlError {
    fn from(error: store::StoreError) -> Self {
        match error.full() {
            Some(full) => {
                tracing::error!(cause = %error, "{full}");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    full,
                    store::StoreError::FULL_HINT,
                )
            }
            None => Self::internal(&error),
        }
    }
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        (self.status, Json(Refused { error: self.said })).into_response()
    }
}
