//! Downloads.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use bytes::BytesMut;
use futures_util::stream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::AsyncReadExt;

use super::{admit, find, note_digest};
use crate::api::error::ApiError;
use crate::api::exchange::{Exchange, Outcome};

/// Bytes read from the disk at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// The characters that RFC 8187 wants encoded, with the recorded service's (and Python's) choice of the rest.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Streams the bytes of a file that code execution made.
pub(in crate::api) async fn content(exchange: &mut Exchange, id: &str) -> Outcome {
    admit(exchange)?;
    let file = find(exchange, id).await?;
    let Exchange {
        app, caller, noted, ..
    } = exchange;
    if !file.downloadable {
        // Parity: recorded text (F086).
        let refused = ApiError::invalid(format!("File '{}' is not downloadable", file.id));
        // Parity: the beta shape's error has no details (F089).
        return Err(if caller.betas.has(super::FILES_BETA) {
            refused
        } else {
            refused.with_code("file_not_downloadable")
        });
    }
    if file.is_expired(caller.workspace.clock.now()) {
        return Err(
            ApiError::not_found(format!("File `{}` has expired.", file.id))
                .with_code("file_expired"),
        );
    }
    let disk = app.store.open_blob(&file).await?;
    let mime_type = HeaderValue::from_str(&file.mime_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    // Parity: recorded as `attachment; filename*=utf-8''squares.csv` (F087).
    let name = utf8_percent_encode(&file.filename, ENCODED);
    let disposition = HeaderValue::try_from(format!("attachment; filename*=utf-8''{name}"))
        .expect("a percent-encoded name is ASCII");
    note_digest(app, &file, noted).await?;
    Ok((
        [
            (header::CONTENT_TYPE, mime_type),
            (header::CONTENT_DISPOSITION, disposition),
            (header::CONTENT_LENGTH, file.size_bytes.into()),
        ],
        body_of(disk),
    )
        .into_response())
}

/// The file's bytes as they are read from the disk.
pub(crate) fn body_of(disk: tokio::fs::File) -> Body {
    Body::from_stream(stream::try_unfold(disk, |mut disk| async {
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        let read = disk.read_buf(&mut chunk).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (chunk.freeze(), disk)))
    }))
}
