//! Lists of files: their order and their cursors.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use super::{COLUMNS, FileRow, Position, find, gone_before, read_row};
use crate::{Store, StoreError, micros};
use common::ids::FileId;

impl Position {
    const NEWEST: Self = Self {
        created_at_us: i64::MAX,
        ordinal: i64::MAX,
    };
}

/// Where a page of files starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Start {
    /// At the newest file.
    #[default]
    Newest,
    /// Behind a place, which older files follow.
    Position(Position),
    /// Behind this file. It may have been deleted since.
    AfterId(FileId),
    /// The page ends before this file. It may have been deleted since.
    BeforeId(FileId),
}

/// Which files to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Select {
    Page {
        limit: usize,
        from: Start,
    },
    /// Those of these that are there.
    Ids(Vec<FileId>),
}

/// A question for a list of files.
#[derive(Debug, Clone)]
pub struct FileQuery {
    pub select: Select,
    /// The present time: files that are gone by then are left out.
    pub now: DateTime<Utc>,
}

/// A part of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub rows: Vec<T>,
    /// Whether the list goes on in the direction of the question.
    pub has_more: bool,
}

impl Store {
    /// A part of the workspace's files, newest first.
    pub async fn files(
        &self,
        workspace: &str,
        query: FileQuery,
    ) -> Result<Page<FileRow>, StoreError> {
        let workspace = workspace.to_owned();
        self.scan(move |db| {
            let sql = || StoreError::sql("list files");
            // One snapshot for the cursor and the rows.
            let db = db.transaction().map_err(sql())?;
            match query.select {
                Select::Ids(ids) => {
                    let mut rows = Vec::new();
                    for id in ids {
                        let row = find(&db, &workspace, &id).map_err(sql())?;
                        rows.extend(row.filter(|row| !row.is_gone(query.now)));
                    }
                    rows.sort_by_key(|row| std::cmp::Reverse(row.position()));
                    Ok(Page {
                        rows,
                        has_more: false,
                    })
                }
                Select::Page { limit, from } => {
                    let (direction, at) = match from {
                        Start::Newest => (Direction::Older, Position::NEWEST),
                        Start::Position(at) => (Direction::Older, at),
                        Start::AfterId(id) => (Direction::Older, locate(&db, &workspace, id)?),
                        Start::BeforeId(id) => (Direction::Newer, locate(&db, &workspace, id)?),
                    };
                    let gone_us = micros(gone_before(query.now));
                    page(&db, &workspace, direction, at, limit, gone_us).map_err(sql())
                }
            }
        })
        .await
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Older,
    Newer,
}

fn page(
    db: &Connection,
    workspace: &str,
    direction: Direction,
    at: Position,
    limit: usize,
    gone_us: i64,
) -> rusqlite::Result<Page<FileRow>> {
    let (beyond, order) = match direction {
        Direction::Older => ("<", "DESC"),
        Direction::Newer => (">", "ASC"),
    };
    let mut rows: Vec<FileRow> = db
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM files
             WHERE workspace = ?1 AND (created_at_us, ordinal) {beyond} (?2, ?3)
               AND (expires_at_us IS NULL OR expires_at_us > ?4)
             ORDER BY created_at_us {order}, ordinal {order} LIMIT ?5"
        ))?
        .query_map(
            params![
                workspace,
                at.created_at_us,
                at.ordinal,
                gone_us,
                // One more tells whether the list goes on.
                i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1),
            ],
            read_row,
        )?
        .collect::<Result<_, _>>()?;
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    if direction == Direction::Newer {
        rows.reverse();
    }
    Ok(Page { rows, has_more })
}

/// Where a file stands in the list, or stood before it was deleted.
fn locate(db: &Connection, workspace: &str, id: FileId) -> Result<Position, StoreError> {
    db.prepare_cached(
        "SELECT created_at_us, ordinal FROM files WHERE workspace = ?1 AND id = ?2
         UNION ALL
         SELECT created_at_us, ordinal FROM deleted_files WHERE workspace = ?1 AND id = ?2",
    )
    .and_then(|mut query| {
        query
            .query_row(params![workspace, &*id], |row| {
                Ok(Position {
                    created_at_us: row.get(0)?,
                    ordinal: row.get(1)?,
                })
            })
            .optional()
    })
    .map_err(StoreError::sql("find a cursor's file"))?
    .ok_or(StoreError::UnknownCursor {
        id: id.into_string(),
    })
}
