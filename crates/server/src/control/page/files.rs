//! `GET /_sandtable/page/files/{id}`: the bytes of a file that a turn made, which the page has no key for.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::api::files::body_of;
use crate::app::App;
use crate::control::error::ControlError;
use crate::control::target::Target;

/// The bytes, never as something that a browser would run.
pub(super) async fn content(
    State(app): State<App>,
    Target(workspace): Target,
    Path(id): Path<String>,
) -> Result<Response, ControlError> {
    let now = workspace.clock.now();
    let file = app.store.file(&workspace.id, &id.as_str().into()).await?;
    let Some(file) = file.filter(|file| !file.is_gone(now)) else {
        return Err(ControlError::new(
            StatusCode::NOT_FOUND,
            format!("no file `{id}` in this workspace"),
            "it may have expired, or been deleted",
        ));
    };
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, file.size_bytes.to_string()),
        (header::CONTENT_DISPOSITION, "attachment".to_owned()),
        (
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'".to_owned(),
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    let name = utf8_percent_encode(&file.filename, NON_ALPHANUMERIC).to_string();
    let headers = (headers, [("x-sandtable-filename", name)]);
    let bytes = app.store.open_blob(&file).await?;
    Ok((headers.0, headers.1, body_of(bytes)).into_response())
}
