//! `GET /_sandtable/openapi.json`: the control API described.

use std::sync::OnceLock;

use axum::http::header;
use axum::response::IntoResponse;

/// The description, made once.
pub(super) async fn show() -> impl IntoResponse {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| {
        let document = control_api::openapi::document(env!("CARGO_PKG_VERSION"));
        format!("{document:#}\n")
    });
    ([(header::CONTENT_TYPE, "application/json")], text.as_str())
}
