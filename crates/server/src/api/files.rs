//! The Files API: `/v1/files` in the current and the beta shape.

mod content;
mod name;
mod query;
mod upload;

#[cfg(test)]
mod tests;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use wire::files::{BetaFilePage, DeletedFile, DeletedFileType, FileMetadata, FilePage, FileType};

use crate::api::caller::Caller;
use crate::api::error::{ApiError, ApiResult};
use crate::api::exchange::{Exchange, Noted, Outcome};
use crate::api::paging;
use crate::app::App;
use common::ids::FileId;
pub(crate) use content::body_of;
pub(super) use content::content;
use store::{FileRow, Page, StoreError};
pub(super) use upload::upload;

/// The beta that selects the older shape (F085).
const FILES_BETA: &str = "files-api-2025-04-14";

/// Refuses calls beyond the workspace's limit for files, before their bodies are read.
fn admit(exchange: &Exchange) -> ApiResult<()> {
    let workspace = &exchange.caller.workspace;
    let Err(refusal) = workspace.rates.admit_files(workspace.clock.now()) else {
        return Ok(());
    };
    // Answers of files carry no headers that say how limits stand (F088); the wording is inferred.
    let message = format!(
        "This request would exceed your organization's rate limit of {} requests per minute for the Files API (org: {}). \
         Please try again later.",
        refusal.limit, workspace.organization_id
    );
    let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message);
    Err(error.with_header(header::RETRY_AFTER, refusal.retry_after.into()))
}

/// Which shape the caller expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Current,
    Beta,
}

impl Shape {
    fn of(caller: &Caller) -> Self {
        if caller.betas.has(FILES_BETA) {
            Self::Beta
        } else {
            Self::Current
        }
    }

    fn file(self, row: FileRow) -> Response {
        let file = file_metadata(row);
        match self {
            Self::Current => Json(file).into_response(),
            Self::Beta => Json(wire::files::BetaFileMetadata::from(file)).into_response(),
        }
    }

    fn page(self, page: Page<FileRow>) -> Response {
        let next = page.rows.last().filter(|_| page.has_more);
        let next_page = next.map(|row| query::page_cursor(row.position()));
        let data = page.rows.into_iter().map(file_metadata);
        match self {
            Self::Current => Json(FilePage {
                data: data.collect(),
                next_page,
            })
            .into_response(),
            Self::Beta => {
                let data: Vec<_> = data.map(wire::files::BetaFileMetadata::from).collect();
                Json(BetaFilePage {
                    first_id: data.first().map(|file| file.id.clone()),
                    last_id: data.last().map(|file| file.id.clone()),
                    has_more: page.has_more,
                    data,
                })
                .into_response()
            }
        }
    }
}

fn file_metadata(row: FileRow) -> FileMetadata {
    FileMetadata {
        kind: FileType::File,
        id: row.id.into_string(),
        size_bytes: row.size_bytes,
        created_at: row.created_at,
        filename: row.filename,
        mime_type: row.mime_type,
        downloadable: row.downloadable,
        expires_at: row.expires_at,
    }
}

/// The caller's file of this id, expired or not.
async fn find(exchange: &Exchange, id: &str) -> ApiResult<FileRow> {
    let id = FileId::from(id);
    let workspace = &exchange.caller.workspace;
    let found = exchange.app.store.file(&workspace.id, &id).await?;
    found
        .filter(|file| !file.is_gone(workspace.clock.now()))
        .ok_or_else(|| ApiError::file_not_found(&id))
}

/// Has the journal tell files apart by their bytes, where that is wanted.
async fn note_digest(app: &App, row: &FileRow, noted: &mut Noted) -> ApiResult<()> {
    if app.config.note_digests {
        let digest = app.store.digest(row).await?;
        noted.file = Some((row.size_bytes, digest));
    }
    Ok(())
}

/// Lists the workspace's files, newest first.
pub(super) async fn list(exchange: &Exchange) -> Outcome {
    admit(exchange)?;
    let shape = Shape::of(&exchange.caller);
    let select = query::parse(exchange.query()?, shape)?;
    let page = match select {
        None => Page {
            rows: Vec::new(),
            has_more: false,
        },
        Some(select) => {
            let workspace = &exchange.caller.workspace;
            let now = workspace.clock.now();
            let parameter = query::cursor_parameter(&select);
            let query = store::FileQuery { select, now };
            match exchange.app.store.files(&workspace.id, query).await {
                Err(StoreError::UnknownCursor { id }) => {
                    return Err(paging::unknown_cursor(parameter, "File", &id));
                }
                page => page?,
            }
        }
    };
    Ok(shape.page(page))
}

/// Returns the metadata of one file.
pub(super) async fn metadata(exchange: &Exchange, id: &str) -> Outcome {
    admit(exchange)?;
    let file = find(exchange, id).await?;
    Ok(Shape::of(&exchange.caller).file(file))
}

/// Deletes one file, expired or not. A body is not looked at: some SDKs announce JSON and send none.
pub(super) async fn delete(exchange: &Exchange, id: &str) -> Outcome {
    admit(exchange)?;
    let file = find(exchange, id).await?;
    let store = &exchange.app.store;
    if !store.delete_file(&file.workspace, &file.id).await? {
        return Err(ApiError::file_not_found(&file.id));
    }
    Ok(Json(DeletedFile {
        id: file.id.into_string(),
        kind: DeletedFileType::FileDeleted,
    })
    .into_response())
}
