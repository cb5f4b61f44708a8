//! The one place where a failure becomes a status and the API's error envelope.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use super::linger::unfinished;
use common::hinted::{self, Mistake};
use model::ServiceError;
use store::StoreError;

/// The return type of handlers.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// An answer with the API's error envelope. `public` text goes to the client; a cause goes to the log
/// where it is handled.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: String,
    message: String,
    /// Boxed to keep results small.
    details: Option<Box<Value>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The service's edge refuses, not the API behind it.
    of_edge: bool,
}

impl ApiError {
    pub(super) fn new(
        status: StatusCode,
        kind: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            kind: kind.into(),
            message: message.into(),
            details: None,
            headers: Vec::new(),
            of_edge: false,
        }
    }

    /// 400 `invalid_request_error`.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// 400 for a header of ours that is no text.
    pub(crate) fn not_ascii(header: &str) -> Self {
        Self::invalid(format!("{header}: the value is not ASCII text"))
    }

    /// 408 `timeout_error` for a body that stayed silent, which clients send again, and 400 for one that broke off.
    pub(super) fn unfinished(error: &axum::Error) -> Self {
        let (status, message) = unfinished(error);
        let kind = match status {
            StatusCode::REQUEST_TIMEOUT => "timeout_error",
            _ => "invalid_request_error",
        };
        Self::new(status, kind, message)
    }

    /// 404 `not_found_error`.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found_error", message)
    }

    /// 404 for a file of another workspace, a deleted one, or one that never was (F084).
    pub(super) fn file_not_found(id: &str) -> Self {
        Self::not_found(format!("File `{id}` not found."))
    }

    /// 401 `authentication_error`.
    pub(crate) fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "authentication_error", message)
    }

    /// 413 `request_too_large` of an upload, in the edge's words (F135).
    pub(super) fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            "Request exceeds the maximum size",
        )
    }

    /// 413 `request_too_large` of the edge, which bodies of JSON do not pass.
    pub(super) fn body_too_large() -> Self {
        Self::too_large().by_edge()
    }

    /// Parity: what the service's edge refuses has no outer `type`, no request id, and no advice (F135).
    pub(super) fn by_edge(mut self) -> Self {
        self.of_edge = true;
        self
    }

    /// 500 `api_error`; the cause is logged here and not sent.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "request failed inside sandtable");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "api_error",
            "Internal server error",
        )
    }

    /// 500 `api_error` of a store that failed; what only the machine's owner can mend is said.
    pub(super) fn failed(error: &StoreError) -> Self {
        let Some((told, hint)) = error.public() else {
            return Self::internal(error);
        };
        tracing::error!(cause = %error, hint, "{told}");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "api_error",
            hinted::in_line(&Mistake::new(told).with_hint(hint)),
        )
    }

    /// Adds `details.error_code`.
    pub(crate) fn with_code(self, error_code: &str) -> Self {
        self.with_details(json!({ "error_code": error_code }))
    }

    /// With what helps, in the same line.
    pub(super) fn with_hint(mut self, hint: &'static str) -> Self {
        self.message = hinted::in_line(&Mistake::new(self.message).with_hint(hint));
        self
    }

    /// Sets `error.details`.
    pub(crate) fn with_details(mut self, details: Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// Adds an answer header; a later one of the same name wins.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The `error` object. Inside a stream `details` comes first and is null where there is none
    /// (F026); in a body it comes last and is absent.
    pub(crate) fn stream_error(&self) -> Value {
        json!({ "details": self.details, "type": self.kind, "message": self.message })
    }

    /// The envelope of a plain answer.
    pub(super) fn body(&self, request_id: Option<&str>) -> Value {
        let mut error = json!({ "type": self.kind, "message": self.message });
        if let Some(details) = &self.details {
            error["details"] = Value::clone(details);
        }
        if self.of_edge {
            return json!({ "error": error });
        }
        let mut body = json!({ "type": "error", "error": error });
        if let Some(id) = request_id {
            body["request_id"] = id.into();
        }
        body
    }
}

impl From<StoreError> for ApiError {
    /// An error that a caller can bring about has an answer of its own; the rest is a failure of ours.
    fn from(error: StoreError) -> Self {
        if let StoreError::BlobGone { id } = &error {
            return Self::file_not_found(id);
        }
        let StoreError::QuotaExceeded {
            used_bytes,
            quota_bytes,
            ..
        } = error
        else {
            return Self::failed(&error);
        };
        // The wording is inferred; the code is the service's (F081).
        Self::invalid(format!(
            "Storage quota exceeded: {used_bytes} of {quota_bytes} bytes are in use."
        ))
        .with_code("storage_quota_exceeded")
    }
}

/// The id that the request being answered was given.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

impl From<ServiceError> for ApiError {
    /// A failure of the service, played by a script or a fault.
    fn from(error: ServiceError) -> Self {
        let status =
            StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = Self::new(status, error.kind, error.message);
        if let Some(details) = error.details {
            answer = answer.with_details(*details);
        }
        for (name, value) in error.headers {
            let (Ok(known), Ok(sent)) =
                (HeaderName::try_from(&name), HeaderValue::from_str(&value))
            else {
                tracing::warn!(%name, %value, "a script names a header that cannot be sent");
                continue;
            };
            answer = answer.with_header(known, sent);
        }
        answer
    }
}

impl ApiError {
    /// The answer, and its body once more for the journal. A `request-id` among its own headers is the body's, too.
    pub(super) fn answer(&self, request_id: Option<&str>) -> (Response, Bytes) {
        let mut own = self.headers.iter().rev();
        let own = own.find(|(name, _)| name.as_str() == "request-id");
        let own = own.and_then(|(_, value)| value.to_str().ok());
        let request_id = own.or(request_id);
        let body = Bytes::from(self.body(request_id).to_string());
        let headers = [(header::CONTENT_TYPE, "application/json")];
        let mut response = (self.status, headers, Body::from(body.clone())).into_response();
        if !self.of_edge {
            let retry =
                matches!(self.status.as_u16(), 408 | 409 | 429) || self.status.is_server_error();
            // Parity: recorded 4xx carry `x-should-retry: false`, a 529 `true` (F136).
            let verdict = HeaderValue::from_static(if retry { "true" } else { "false" });
            response.headers_mut().insert("x-should-retry", verdict);
        }
        for (name, value) in &self.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        (response, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_one_request_id() {
        let name = HeaderName::from_static("request-id");
        let own = ApiError::invalid("x").with_header(name, HeaderValue::from_static("req_own"));
        for (error, id) in [(own, "req_own"), (ApiError::invalid("x"), "req_1")] {
            let (_, body) = error.answer(Some("req_1"));
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["request_id"], id);
        }
    }
}
