//! The errors of the control surface: `{"error":{"message","hint"}}`.

use axum::Json;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use control_api::{Refusal, Refused};

use crate::app::App;
use crate::caught::caught;
use common::hinted::{self, Hinted};
use common::limits;
use workspace::WorkspaceError;

/// The call whose bodies may be as large as a cassette.
const CASSETTES: &str = "/_sandtable/cassettes";
/// A refusal of the framework's own is a line.
const MAX_LINE_BYTES: usize = 64 * 1024;

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
        match error.public() {
            Some((told, hint)) => {
                tracing::error!(cause = %error, "{told}");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, told, hint)
            }
            None => Self::internal(&error),
        }
    }
}

impl ControlError {
    /// Why a key gets no workspace.
    pub(super) fn of_key(app: &App, error: WorkspaceError) -> Self {
        match error {
            WorkspaceError::TooMany => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                error.to_string(),
                app.too_many_hint(),
            ),
            WorkspaceError::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        (self.status, Json(Refused { error: self.said })).into_response()
    }
}

/// Gives what is not of ours the form of a refusal: a wrong method, a body that is too large, a panic.
pub(crate) async fn shaped(request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = match caught(next.run(request)).await {
        Ok(response) => response,
        Err(panicked) => return ControlError::internal(&panicked).into_response(),
    };
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_ours = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let said = axum::body::to_bytes(response.into_body(), MAX_LINE_BYTES).await;
    let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
    let path = uri.path();
    let error = match status {
        // `allow`, which comes last, says which it takes.
        StatusCode::METHOD_NOT_ALLOWED => ControlError::new(
            status,
            format!("`{path}` does not take {method}"),
            "`GET /_sandtable/openapi.json` says which it takes",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => {
            let most = match path {
                CASSETTES => limits::MAX_CASSETTE_BYTES,
                _ => limits::MAX_CONTROL_BODY_BYTES,
            };
            ControlError::new(
                status,
                format!("the body is larger than {} MiB", most / 1024 / 1024),
                "send it in parts, or give the server files of it when it starts",
            )
        }
        _ if said.is_empty() => ControlError::new(
            status,
            status.canonical_reason().unwrap_or("refused"),
            "`sandtable docs control` has the calls",
        ),
        _ => ControlError::new(status, said, "`sandtable docs control` has the calls"),
    };
    error.into_response()
}
