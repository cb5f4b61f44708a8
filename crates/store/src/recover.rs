//! Recovery when the store is opened: undoes the half-done work of a killed server.
//!
//! Rows and blobs are matched by name alone: a blob gets its name when it is whole. A batch is whole when
//! it is no longer `receiving`.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::Connection;

use super::StoreError;
use super::blobs::{self, BlobDir};

/// That the folder of the bytes is there if there are files. A kill takes no folder away, so it may come back; a new one in its
/// place would be in the way of that.
pub(super) fn examine(connection: &Connection, dir: &Path) -> Result<(), StoreError> {
    let path = dir.join(blobs::FOLDER);
    // A link to a disk that is not mounted leads to no folder.
    if path.exists() {
        return Ok(());
    }
    let files = connection
        .query_row("SELECT count(*) FROM files", [], |row| row.get(0))
        .map_err(StoreError::sql("count the files"))?;
    if files == 0 {
        return Ok(());
    }
    Err(StoreError::Bereft { path, files })
}

/// Removes blobs without a row and batches that lack items. A row without its blob is nothing that a kill leaves: it stays, for
/// its bytes may come back.
pub(super) fn run(connection: &mut Connection, blobs: &BlobDir) -> Result<(), StoreError> {
    let sql = || StoreError::sql("match rows and blobs");
    let mut on_disk: HashSet<i64> = blobs.list()?.into_iter().collect();
    let lost: Vec<String> = {
        let mut rows = connection
            .prepare("SELECT blob, id FROM files")
            .map_err(sql())?;
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(sql())?
            .filter(|row| !matches!(row, Ok((blob, _)) if on_disk.remove(blob)))
            .map(|row| row.map(|(_, id): (i64, String)| id))
            .collect::<Result<_, _>>()
            .map_err(sql())?
    };
    if let Some(first) = lost.first() {
        // Rows and blobs do not belong together, so what has no row here may have one elsewhere.
        tracing::warn!(
            file.id = first,
            files = lost.len(),
            blobs_without_a_file = on_disk.len(),
            path = %blobs.path().display(),
            "files have lost their bytes; put them back, or delete the files"
        );
    } else {
        for orphan in on_disk {
            blobs.remove(orphan)?;
        }
    }
    connection
        .execute("DELETE FROM batches WHERE state = 'receiving'", [])
        .map_err(StoreError::sql(
            "remove batches that were not received whole",
        ))?;
    Ok(())
}
