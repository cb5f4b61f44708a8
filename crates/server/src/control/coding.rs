//! The coding of a control call's body: it is taken as it is.

use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::error::ControlError;
use crate::api::coding;

/// Refuses a body with a coding.
pub(super) async fn check(request: Request, next: Next) -> Response {
    let coding = coding(request.headers()).filter(|_| !request.body().is_end_stream());
    if let Some(coding) = coding {
        return ControlError::bad(
            format!("the content encoding `{coding}` is not supported"),
            "send the body uncompressed",
        )
        .into_response();
    }
    next.run(request).await
}
