//! The emulated surface: routes, one handler per endpoint, and the shapes of failure.

pub(crate) mod batches;
mod cut;
mod era;
pub(crate) mod error;
pub(crate) mod extract;
pub(crate) mod files;
mod guard;
mod json;
mod linger;
mod messages;
pub(crate) mod middleware;
mod models;
pub(crate) mod multipart;
mod paced;
mod paging;
mod replay;
mod shaped;
pub(crate) mod skills;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;

use crate::api::error::ApiError;
use crate::app::App;

/// Every path under `/v1`.
pub(crate) fn router(app: &App) -> Router<App> {
    Router::new()
        .route("/v1/messages", post(messages::create))
        .route("/v1/messages/count_tokens", post(messages::count_tokens))
        .merge(files::router())
        .merge(batches::router())
        .merge(models::router())
        .merge(skills::router())
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(axum::middleware::from_fn_with_state(
            app.clone(),
            middleware::caller,
        ))
}

async fn unknown_route() -> ApiError {
    ApiError::not_found("Not Found")
}

async fn unknown_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "invalid_request_error",
        "Method Not Allowed",
    )
}

pub(crate) use guard::guard;
pub(crate) use shaped::Line;
