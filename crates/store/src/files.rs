//! Files: their rows and bytes.

mod list;

use std::io::Read as _;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use sha2::{Digest as _, Sha256};

use super::{Store, StoreError, TempBlob, from_micros, micros};
use common::ids::{ContainerId, FileId};
use common::limits;

pub use list::{FileQuery, Page, Select, Start};

/// One file as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    pub id: FileId,
    pub workspace: String,
    pub filename: String,
    pub mime_type: String,
    pub size_bytes: u64,
    /// Whether clients may have the content: not what they uploaded themselves.
    pub downloadable: bool,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    /// The container whose call made it.
    pub container_id: Option<ContainerId>,
    pub(super) blob: i64,
    ordinal: i64,
}

/// A file to add.
#[derive(Debug, Clone)]
pub struct NewFile {
    pub id: FileId,
    pub workspace: String,
    pub filename: String,
    pub mime_type: String,
    pub downloadable: bool,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub container_id: Option<ContainerId>,
}

/// A place in the list of files, newest first. It stays good when files around it come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Creation in microseconds.
    pub created_at_us: i64,
    /// Order among the files of the workspace that were made at that time.
    pub ordinal: i64,
}

impl FileRow {
    /// Its place in the list.
    pub fn position(&self) -> Position {
        Position {
            created_at_us: micros(self.created_at),
            ordinal: self.ordinal,
        }
    }

    /// Whether the content is no longer to be had.
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Whether the metadata is no longer to be had either.
    pub fn is_gone(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|at| at <= gone_before(now))
    }
}

/// The latest expiry of a file whose metadata is gone as well.
fn gone_before(now: DateTime<Utc>) -> DateTime<Utc> {
    now - TimeDelta::days(limits::EXPIRED_METADATA_DAYS)
}

/// How much of a file is in memory while its digest is made.
const DIGEST_CHUNK_BYTES: usize = 256 * 1024;

const COLUMNS: &str = "id, workspace, filename, mime_type, size_bytes, downloadable, \
                       created_at_us, expires_at_us, container_id, blob, ordinal";

fn read_row(row: &Row<'_>) -> rusqlite::Result<FileRow> {
    Ok(FileRow {
        id: row.get::<_, String>(0)?.into(),
        workspace: row.get(1)?,
        filename: row.get(2)?,
        mime_type: row.get(3)?,
        size_bytes: bytes(row.get(4)?),
        downloadable: row.get(5)?,
        created_at: from_micros(row.get(6)?),
        expires_at: row.get::<_, Option<i64>>(7)?.map(from_micros),
        container_id: row.get::<_, Option<String>>(8)?.map(Into::into),
        blob: row.get(9)?,
        ordinal: row.get(10)?,
    })
}

/// Sizes are counted by triggers and never below zero.
fn bytes(size: i64) -> u64 {
    u64::try_from(size).unwrap_or(0)
}

fn find(db: &Connection, workspace: &str, id: &FileId) -> rusqlite::Result<Option<FileRow>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM files WHERE workspace = ?1 AND id = ?2"
    ))?
    .query_row(params![workspace, &**id], read_row)
    .optional()
}

pub(super) fn is_unique_violation(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| matches!(error.extended_code, 1555 | 2067))
}

impl Store {
    /// Adds a file with its bytes. [`StoreError::IdTaken`] if the workspace has or lately had one of
    /// this id, [`StoreError::QuotaExceeded`] if it would hold too much; nothing is changed then.
    pub async fn insert_file(&self, file: NewFile, blob: TempBlob) -> Result<FileRow, StoreError> {
        let sql = || StoreError::sql("add a file");
        let quota_bytes = self.0.options.quota_bytes;
        let blobs = Arc::clone(&self.0.blobs);
        self.0
            .writer
            .call(move |connection| {
                let transaction = connection
                    .transaction_with_behavior(TransactionBehavior::Immediate)
                    .map_err(sql())?;
                let row = insert(&transaction, file, blob.size_bytes(), quota_bytes)?;
                // The name before the commit: a kill in between leaves a blob without a row, which
                // the next start removes.
                blobs.keep(&blob, row.blob)?;
                transaction.commit().map_err(|source| {
                    blobs.give_back(&blob, row.blob);
                    sql()(source)
                })?;
                Ok(row)
            })
            .await
    }

    /// One file of the workspace, expired or not.
    pub async fn file(&self, workspace: &str, id: &FileId) -> Result<Option<FileRow>, StoreError> {
        self.look_up(|db| find(db, workspace, id).map_err(StoreError::sql("find a file")))
            .await
    }

    /// Deletes a file, its row first and then its bytes. `false` if the workspace has no such file.
    pub async fn delete_file(&self, workspace: &str, id: &FileId) -> Result<bool, StoreError> {
        let (workspace, id) = (workspace.to_owned(), id.clone());
        let blob: Option<i64> = self
            .write(move |db| {
                db.query_row(
                    "DELETE FROM files WHERE workspace = ?1 AND id = ?2 RETURNING blob",
                    params![workspace, &*id],
                    |row| row.get(0),
                )
                .optional()
                .map_err(StoreError::sql("delete a file"))
            })
            .await?;
        self.remove_blobs(blob.into_iter().collect()).await?;
        Ok(blob.is_some())
    }

    /// Deletes the workspace's files whose metadata is no longer to be had either.
    pub async fn sweep_files(&self, workspace: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        let sql = || StoreError::sql("remove files that are long expired");
        let gone_us = micros(gone_before(now));
        let any: bool = self
            .look_up(|db| {
                db.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM files WHERE workspace = ?1 AND expires_at_us <= ?2)",
            )
            .and_then(|mut query| query.query_row(params![workspace, gone_us], |row| row.get(0)))
            .map_err(sql())
            })
            .await?;
        if !any {
            return Ok(());
        }
        let workspace = workspace.to_owned();
        let blobs = self
            .write(move |db| {
                db.prepare(
                    "DELETE FROM files WHERE workspace = ?1 AND expires_at_us <= ?2 RETURNING blob",
                )
                .and_then(|mut query| {
                    query
                        .query_map(params![workspace, gone_us], |row| row.get(0))?
                        .collect()
                })
                .map_err(sql())
            })
            .await?;
        self.remove_blobs(blobs).await
    }

    /// The bytes of a file, open for reading.
    pub async fn open_blob(&self, file: &FileRow) -> Result<tokio::fs::File, StoreError> {
        let (blobs, blob) = (Arc::clone(&self.0.blobs), file.blob);
        let opened = tokio::task::spawn_blocking(move || {
            let file = blobs.open_blob(blob)?;
            let found = file.metadata()?.len();
            Ok::<_, std::io::Error>((file, found))
        });
        match opened.await.map_err(|_| StoreError::Closed)? {
            Ok((open, found)) if found == file.size_bytes => Ok(tokio::fs::File::from_std(open)),
            Ok((_, found)) => Err(StoreError::BlobDamaged {
                id: file.id.to_string(),
                found,
                expected: file.size_bytes,
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let id = file.id.to_string();
                // Its row goes before its bytes.
                let found = self.file(&file.workspace, &file.id).await?;
                if found.is_none_or(|found| found.blob != file.blob) {
                    return Err(StoreError::BlobGone { id });
                }
                let path = self.0.blobs.path_of(file.blob);
                Err(StoreError::BlobLost { id, path })
            }
            Err(error) => Err(StoreError::io("open a blob")(error)),
        }
    }

    /// SHA-256 of a file's bytes, read for it.
    pub async fn digest(&self, file: &FileRow) -> Result<[u8; 32], StoreError> {
        let mut open = self.open_blob(file).await?.into_std().await;
        let digest = tokio::task::spawn_blocking(move || {
            let mut hash = Sha256::new();
            let mut chunk = vec![0; DIGEST_CHUNK_BYTES];
            while let read @ 1.. = open.read(&mut chunk)? {
                hash.update(&chunk[..read]);
            }
            Ok(hash.finalize().into())
        });
        digest
            .await
            .map_err(|_| StoreError::Closed)?
            .map_err(StoreError::io("read a blob"))
    }

    /// All files of the workspace, the oldest first.
    pub async fn all_files(&self, workspace: &str) -> Result<Vec<FileRow>, StoreError> {
        let workspace = workspace.to_owned();
        self.scan(move |db| {
            db.prepare(&format!(
                "SELECT {COLUMNS} FROM files WHERE workspace = ?1 ORDER BY created_at_us, ordinal"
            ))
            .and_then(|mut query| query.query_map([workspace], read_row)?.collect())
            .map_err(StoreError::sql("list all files"))
        })
        .await
    }

    /// Bytes that the workspace's files take, without those whose content is no longer to be had; 0 for an unknown
    /// workspace.
    pub async fn used_bytes(&self, workspace: &str, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let sql = || StoreError::sql("count the bytes of a workspace");
        self.look_up(|db| {
            let used: Option<i64> = db
                .prepare_cached("SELECT used_bytes FROM workspaces WHERE id = ?1")
                .and_then(|mut query| query.query_row([workspace], |row| row.get(0)).optional())
                .map_err(sql())?;
            let expired = expired_bytes(db, workspace, now).map_err(sql())?;
            Ok(bytes(used.unwrap_or(0).saturating_sub(expired)))
        })
        .await
    }

    /// Bytes of files that one workspace may hold.
    pub fn quota_bytes(&self) -> u64 {
        self.0.options.quota_bytes
    }

    /// Removes bytes whose rows are gone. What fails here goes with the next start.
    pub(super) async fn remove_blobs(&self, gone: Vec<i64>) -> Result<(), StoreError> {
        if gone.is_empty() {
            return Ok(());
        }
        let blobs = Arc::clone(&self.0.blobs);
        tokio::task::spawn_blocking(move || {
            gone.into_iter().try_for_each(|blob| blobs.remove(blob))
        })
        .await
        .map_err(|_| StoreError::Closed)?
    }
}

/// Bytes of files that nobody can have any more, and that are still there for their metadata.
fn expired_bytes(db: &Connection, workspace: &str, now: DateTime<Utc>) -> rusqlite::Result<i64> {
    db.prepare_cached(
        "SELECT coalesce(sum(size_bytes), 0) FROM files WHERE workspace = ?1 AND expires_at_us <= ?2",
    )?
    .query_row(params![workspace, micros(now)], |row| row.get(0))
}

pub(super) fn insert(
    db: &Transaction<'_>,
    file: NewFile,
    size_bytes: u64,
    quota_bytes: u64,
) -> Result<FileRow, StoreError> {
    let sql = || StoreError::sql("add a file");
    let counted: Option<(i64, i64)> = db
        .prepare_cached(
            "UPDATE workspaces SET files_made = files_made + 1 WHERE id = ?1
             RETURNING files_made, used_bytes",
        )
        .and_then(|mut query| {
            query
                .query_row([&file.workspace], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })
        .map_err(sql())?;
    let Some((ordinal, used)) = counted else {
        return Err(StoreError::UnknownWorkspace { id: file.workspace });
    };
    let expired = expired_bytes(db, &file.workspace, file.created_at).map_err(sql())?;
    let used_bytes = bytes(used.saturating_sub(expired));
    if used_bytes.saturating_add(size_bytes) > quota_bytes {
        return Err(StoreError::QuotaExceeded {
            size_bytes,
            used_bytes,
            quota_bytes,
        });
    }
    let was_deleted: bool = db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM deleted_files WHERE workspace = ?1 AND id = ?2)",
        )
        .and_then(|mut query| query.query_row(params![file.workspace, &*file.id], |row| row.get(0)))
        .map_err(sql())?;
    if was_deleted {
        return Err(StoreError::IdTaken {
            id: file.id.into_string(),
        });
    }
    let created_at_us = micros(file.created_at);
    let expires_at_us = file.expires_at.map(micros);
    db.prepare_cached(
        "INSERT INTO files (id, workspace, filename, mime_type, size_bytes, downloadable,
                            created_at_us, expires_at_us, container_id, ordinal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )
    .and_then(|mut query| {
        query.execute(params![
            &*file.id,
            file.workspace,
            file.filename,
            file.mime_type,
            i64::try_from(size_bytes).unwrap_or(i64::MAX),
            file.downloadable,
            created_at_us,
            expires_at_us,
            file.container_id.as_deref(),
            ordinal,
        ])
    })
    .map_err(|source| {
        if is_unique_violation(&source) {
            StoreError::IdTaken {
                id: file.id.to_string(),
            }
        } else {
            sql()(source)
        }
    })?;
    Ok(FileRow {
        id: file.id,
        workspace: file.workspace,
        filename: file.filename,
        mime_type: file.mime_type,
        size_bytes,
        downloadable: file.downloadable,
        created_at: from_micros(created_at_us),
        expires_at: expires_at_us.map(from_micros),
        container_id: file.container_id,
        blob: db.last_insert_rowid(),
        ordinal,
    })
}
