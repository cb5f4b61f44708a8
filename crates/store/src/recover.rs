//! Recovery when the store is opened: undoes the half-done work of a killed server.
//!
//! Rows and blobs are matched by name alone: a blob gets its name when it is whole. A batch is whole when
//! it is no longer `receiving`.

use std::collections::HashSet;

use rusqlite::Connection;

use super::StoreError;
use super::blobs::BlobDir;

/// Removes rows without a blob, blobs without a row, and batches that lack items.
pub(super) fn run(connection: &mut Connection, blobs: &BlobDir) -> Result<(), StoreError> {
    let sql = || StoreError::sql("match rows and blobs");
    let mut on_disk: HashSet<i64> = blobs.list()?.into_iter().collect();
    let lost: Vec<(i64, String)> = {
        let mut rows = connection
            .prepare("SELECT blob, id FROM files")
            .map_err(sql())?;
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(sql())?
            .filter(|row| !matches!(row, Ok((blob, _)) if on_disk.remove(blob)))
            .collect::<Result<_, _>>()
            .map_err(sql())?
    };
    for (blob, id) in lost {
        tracing::warn!(file.id = id, "a file without its bytes is removed");
        connection
            .execute("DELETE FROM files WHERE blob = ?1", [blob])
            .map_err(sql())?;
    }
    for orphan in on_disk {
        blobs.remove(orphan)?;
    }
    connection
        .execute("DELETE FROM batches WHERE state = 'receiving'", [])
        .map_err(StoreError::sql(
            "remove batches that were not received whole",
        ))?;
    Ok(())
}
