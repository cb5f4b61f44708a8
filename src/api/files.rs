//! The Files API: `/v1/files` in the current and the beta shape.

mod content;
mod name;
mod query;
mod upload;

#[cfg(test)]
mod tests;

use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use wire::files::{BetaFilePage, DeletedFile, DeletedFileType, FileMetadata, FilePage, FileType};

use crate::api::error::{ApiError, ApiResult};
use crate::api::extract::Caller;
use crate::api::middleware::Exchange;
use crate::api::paging;
use crate::app::App;
use crate::ids::FileId;
use crate::store::{FileRow, Page, StoreError};
pub(crate) use content::body_of;

/// The beta that selects the older shape (F085).
const FILES_BETA: &str = "files-api-2025-04-14";

/// The routes. Uploads count their bytes themselves, so no body limit may lie over them.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/v1/files", get(list).post(upload::upload))
        .route("/v1/files/{id}", get(metadata).delete(delete))
        .route("/v1/files/{id}/content", get(content::content))
        .layer(DefaultBodyLimit::disable())
        .route_layer(middleware::from_fn(admit))
}

/// Refuses calls beyond the workspace's limit for files, before their bodies are read.
async fn admit(caller: Caller, request: Request, next: Next) -> Response {
    let workspace = &caller.workspace;
    let Err(refusal) = workspace.rates.admit_files(workspace.clock.now()) else {
        return next.run(request).await;
    };
    // Answers of files carry no headers that say how limits stand (F088); the wording is inferred.
    let message = format!(
        "This request would exceed your organization's rate limit of {} requests per minute for the Files API (org: {}). \
         Please try again later.",
        refusal.limit, workspace.organization_id
    );
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message)
        .with_header(header::RETRY_AFTER, refusal.retry_after.into())
        .into_response()
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

/// The `{id}` of a path. What cannot be an id is the id of nothing.
#[derive(Debug)]
struct Named(FileId);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        Path::<String>::from_request_parts(parts, state)
            .await
            .map(|Path(id)| Self(id.into()))
            .map_err(|_| ApiError::file_not_found(parts.uri.path()))
    }
}

/// The caller's file of this id, expired or not.
async fn find(app: &App, caller: &Caller, id: &FileId) -> ApiResult<FileRow> {
    let now = caller.workspace.clock.now();
    app.store
        .file(&caller.workspace.id, id)
        .await?
        .filter(|file| !file.is_gone(now))
        .ok_or_else(|| ApiError::file_not_found(id))
}

/// Has the journal tell files apart by their bytes, where that is wanted.
async fn with_digest(app: &App, row: &FileRow, mut response: Response) -> ApiResult<Response> {
    if app.config.note_digests {
        let digest = app.store.digest(row).await?;
        response.extensions_mut().insert(Exchange {
            file: Some((row.size_bytes, digest)),
            ..Exchange::default()
        });
    }
    Ok(response)
}

/// Lists the workspace's files, newest first.
async fn list(
    State(app): State<App>,
    caller: Caller,
    query: paging::PairsResult,
) -> ApiResult<Response> {
    let shape = Shape::of(&caller);
    let select = query::parse(paging::pairs(query)?, shape)?;
    let page = match select {
        None => Page {
            rows: Vec::new(),
            has_more: false,
        },
        Some(select) => {
            let now = caller.workspace.clock.now();
            let query = crate::store::FileQuery { select, now };
            match app.store.files(&caller.workspace.id, query).await {
                Err(StoreError::UnknownCursor { id }) => {
                    return Err(paging::unknown_cursor("File", &id));
                }
                page => page?,
            }
        }
    };
    Ok(shape.page(page))
}

/// Returns the metadata of one file.
async fn metadata(State(app): State<App>, caller: Caller, Named(id): Named) -> ApiResult<Response> {
    let file = find(&app, &caller, &id).await?;
    Ok(Shape::of(&caller).file(file))
}

/// Deletes one file, expired or not. A body is not looked at: some SDKs announce JSON and send none.
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Named(id): Named,
) -> ApiResult<Json<DeletedFile>> {
    let file = find(&app, &caller, &id).await?;
    if !app.store.delete_file(&file.workspace, &file.id).await? {
        return Err(ApiError::file_not_found(&id));
    }
    Ok(Json(DeletedFile {
        id: id.into_string(),
        kind: DeletedFileType::FileDeleted,
    }))
}
