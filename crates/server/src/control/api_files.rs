//! `GET /_sandtable/files`: the files of the Files API, for who looks on: it meets no fault, is in no journal, and
//! counts as nothing that the client did.

use axum::Json;
use axum::extract::State;
use control_api::{KeptFile, List};

use super::error::ControlError;
use super::target::Target;
use crate::app::App;

/// Those that are not over, the oldest first.
pub(super) async fn list(
    State(app): State<App>,
    Target(workspace): Target,
) -> Result<Json<List<KeptFile>>, ControlError> {
    let now = workspace.clock.now();
    let rows = app.store.all_files(&workspace.id).await?.into_iter();
    let there = rows.filter(|row| !row.is_gone(now)).map(|row| KeptFile {
        id: row.id.to_string(),
        filename: row.filename,
        mime_type: row.mime_type,
        size_bytes: row.size_bytes,
        created_at: row.created_at,
        downloadable: row.downloadable,
    });
    let data = there.collect();
    Ok(Json(List { data }))
}
