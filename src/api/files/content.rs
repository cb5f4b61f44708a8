//! Downloads.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures_util::stream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::AsyncReadExt;

use super::{Named, find, with_digest};
use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::Caller;
use crate::app::App;

/// Bytes read from the disk at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// What RFC 8187 wants encoded, with the recorded service's (and Python's) choice of the rest.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Streams the bytes of a file that code execution made.
pub(super) async fn content(
    State(app): State<App>,
    caller: Caller,
    Named(id): Named,
) -> ApiResult<Response> {
    let file = find(&app, &caller, &id).await?;
    if !file.downloadable {
        // Parity: recorded text (F086).
        let refused = ApiError::invalid(format!("File '{id}' is not downloadable"));
        // Parity: the beta shape's error has no details (F089).
        return Err(if caller.betas.has(super::FILES_BETA) {
            refused
        } else {
            refused.with_code("file_not_downloadable")
        });
    }
    if file.is_expired(caller.workspace.clock.now()) {
        return Err(
            ApiError::not_found(format!("File `{id}` has expired.")).with_code("file_expired")
        );
    }
    let disk = app.store.open_blob(&file).await?;
    let mime_type = HeaderValue::from_str(&file.mime_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    // Parity: recorded as `attachment; filename*=utf-8''squares.csv` (F087).
    let name = utf8_percent_encode(&file.filename, ENCODED);
    let disposition = HeaderValue::try_from(format!("attachment; filename*=utf-8''{name}"))
        .expect("a percent-encoded name is ASCII");
    let response = (
        [
            (header::CONTENT_TYPE, mime_type),
            (header::CONTENT_DISPOSITION, disposition),
            (header::CONTENT_LENGTH, file.size_bytes.into()),
        ],
        body_of(disk),
    )
        .into_response();
    with_digest(&app, &file, response).await
}

/// The file's bytes as they are read from the disk.
pub(crate) fn body_of(disk: tokio::fs::File) -> Body {
    Body::from_stream(stream::try_unfold(disk, |mut disk| async {
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        let read = disk.read_buf(&mut chunk).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (chunk.freeze(), disk)))
    }))
}
